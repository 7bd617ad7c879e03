"""What the doctor asks Postgres: is it there, is it safe, does everything move?"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from adapters.postgres.database import Database, Unsafe
from adapters.postgres.queries import PostgresQueries
from infra import asking
from infra.doctor.finding import Finding, failed, ok, warning
from infra.exits import Stop
from infra.migrate import WrongSchema, head, require

Check = Callable[[Database], Awaitable[Finding]]
LATE_S = 10  # who is so far behind stands still
APART_S, FAR_APART_S = 1.0, 30.0  # two clocks

RIGHTS = """
SELECT current_user AS name,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS super,
    has_table_privilege('postcommit.events', 'INSERT') AS may_append,
    has_table_privilege('postcommit.events', 'UPDATE')
        OR has_table_privilege('postcommit.events', 'DELETE') AS may_change
"""
RELAY = "SELECT extract(epoch FROM clock_timestamp() - heard_at)::float FROM postcommit.leader WHERE role = 'relay'"
OUTBOX = """
SELECT count(*) AS depth,
    coalesce(extract(epoch FROM clock_timestamp() - min(e.at)), 0)::float AS oldest_s
FROM postcommit.outbox AS o JOIN postcommit.events AS e ON e.id = o.event
"""
CURSORS = """
SELECT c.name,
    (SELECT coalesce(max(position), 0) FROM postcommit.ledger) - c.position AS behind,
    coalesce(extract(epoch FROM clock_timestamp() - e.at), 0)::float AS behind_s
FROM postcommit.cursors AS c
LEFT JOIN postcommit.ledger AS l ON l.position = c.position + 1
LEFT JOIN postcommit.events AS e ON e.id = l.event
ORDER BY c.name
"""


async def examined(dsn: str) -> AsyncIterator[Finding]:
    """One finding after the other; nothing more is asked where Postgres does not answer, or has no schema."""
    database = Database(dsn, 1, "postcommit doctor")
    try:
        for check in (postgres, schema, safety, clock, rights, relay, outbox, cursors, balance):
            try:
                with asking.postgres(dsn):
                    finding = await check(database)
            except Stop as stop:
                finding = failed(check.__name__, str(stop), "See that Postgres runs, and lets this user in.")
            yield finding
            if finding.state == "failed" and check in (postgres, schema):
                return
    finally:
        await database.close()


async def postgres(database: Database) -> Finding:
    row = await _row(database, "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby")
    if row["standby"]:
        return failed(
            "postgres", "This Postgres is a standby, and takes no writes.", "Give the address of the primary."
        )
    return ok("postgres", f"Postgres {row['version']} answers.")


async def schema(database: Database) -> Finding:
    try:
        await require(database)
    except WrongSchema as wrong:
        return failed("schema", str(wrong), "Run `postcommit migrate` as the owner, or upgrade this program.")
    return ok("schema", f"The schema is at {head()}, as this program wants it.")


async def safety(database: Database) -> Finding:
    try:
        await database.require_safe()
    except Unsafe as unsafe:
        return failed("safety", str(unsafe), "Set it so, and start the roles again: they refuse to run like this.")
    return ok("safety", "What Postgres acknowledges is on its disk.")


async def clock(database: Database) -> Finding:
    before = datetime.now(UTC)
    there = (await _row(database, "SELECT clock_timestamp() AS now"))["now"]
    after = datetime.now(UTC)
    apart_s = max((before - there).total_seconds(), (there - after).total_seconds(), 0.0)
    found = f"The clock of this machine and that of Postgres are {apart_s:.1f} s apart."
    advice = "Let both machines follow a time server: facts carry this machine's time, leases that of Postgres."
    judge = failed if apart_s > FAR_APART_S else warning
    return judge("clock", found, advice) if apart_s > APART_S else ok("clock", found)


async def rights(database: Database) -> Finding:
    row = await _row(database, RIGHTS)
    if not row["may_append"]:
        return failed(
            "rights",
            f"The user {row['name']} may not append to the log.",
            f"Run GRANT postcommit_app TO {row['name']} as an administrator of Postgres.",
        )
    if row["super"] or row["may_change"]:
        return warning(
            "rights",
            f"The user {row['name']} may change the log, and not only append to it.",
            "Give the roles a user that is a member of postcommit_app and of nothing else.",
        )
    return ok("rights", f"The user {row['name']} may append to the log, and not change it.")


async def relay(database: Database) -> Finding:
    advice = "Start `postcommit relay`, and read what it says: nothing is numbered, mirrored or rescued meanwhile."
    async with database.driver() as connection:
        silent_s = await connection.fetchval(RELAY)
    if silent_s is None:
        return failed("relay", "No relay has ever led.", advice)
    found = f"The leading relay was heard {max(silent_s, 0.0):.1f} s ago."
    return failed("relay", found, advice) if silent_s > LATE_S else ok("relay", found)


async def outbox(database: Database) -> Finding:
    row = await _row(database, OUTBOX)
    if not row["depth"]:
        return ok("outbox", "Every fact has its position.")
    found = f"{row['depth']} facts wait for a position, the oldest for {row['oldest_s']:.1f} s."
    advice = "A relay must lead, and reach Postgres directly; look for a lock in pg_stat_activity."
    return failed("outbox", found, advice) if row["oldest_s"] > LATE_S else ok("outbox", found)


async def cursors(database: Database) -> Finding:
    async with database.driver() as connection:
        rows = await connection.fetch(CURSORS)
    found = "Behind the log's end are: " + ", ".join(f"{row['name']} {row['behind']}" for row in rows) + "."
    late = [row["name"] for row in rows if row["behind_s"] > LATE_S]
    if not late:
        return ok("cursors", found)
    advice = "The mirror is moved by `postcommit relay`, the others by `postcommit reader`: see their logs."
    return failed("cursors", f"{found} {', '.join(late)} did not move for {LATE_S} s.", advice)


async def balance(database: Database) -> Finding:
    seen = await PostgresQueries(database).balance()
    found = f"{seen.accepted} tasks were accepted, {seen.open} are open; the difference is {seen.difference}."
    if seen.difference:
        return failed(
            "balance", found, "Run `postcommit check`, and keep what it says: this is an error of the program."
        )
    return ok("balance", found)


async def _row(database: Database, query: str) -> Any:
    async with database.driver() as connection:
        return await connection.fetchrow(query)
