"""The relay's session, as asyncpg gives it: the real `Leadership` runs on it, and its statements find what they would
in Postgres. It dies with a lost connection, after 3 s of silence, with its process, and when a standby ends it."""

from typing import Any

import asyncpg

from adapters.postgres.database import statement
from adapters.postgres.leadership import Leadership
from tests.simulation.loop import PROCESS
from tests.simulation.postgres import Postgres
from tests.simulation.wire import ask, simply

SHARE = 0.1  # of the trouble: each takes the leadership away
IDLE_S, SILENT_S = 3.0, 5.0  # idle_session_timeout; end_silent_leader.sql
NAMES = {
    statement(name): name
    for name in (
        *("check_leader", "end_silent_leader", "hear_leader", "last_outbox_number", "outbox_writers"),
        "sequence_outbox",
    )
} | {"SELECT pg_try_advisory_lock($1)": "try_lock"}


def ended() -> Exception:
    return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


async def open_session(postgres: Postgres) -> Leadership:
    """Raises Unavailable."""
    await postgres.read(lambda: None)
    return Leadership(Session(postgres), lambda: postgres.scene.loop.now)  # type: ignore[arg-type]


class Session:
    def __init__(self, postgres: Postgres) -> None:
        self._postgres, self._process = postgres, PROCESS.get()
        self._used, self._life = postgres.scene.loop.now, postgres.lives
        self._running = 0  # statements
        self._over = False

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        return await self._run(NAMES[query], *arguments)

    execute = fetchval

    async def fetch(self, query: str, *arguments: Any) -> Any:
        return [await self._run(NAMES[query], *arguments)]

    def terminate(self) -> None:
        self._postgres.scene.loop.later(self._postgres.scene.pause(), self.end)

    def end(self) -> None:
        """The server ends it, and frees the lock."""
        self._over = True

    def alive(self) -> bool:
        if not self._process.alive or self._life != self._postgres.lives:
            self._over = True
        if not self._running and self._postgres.scene.loop.now - self._used > IDLE_S:
            self._over = True
        return not self._over

    async def _run(self, name: str, *arguments: Any) -> Any:
        if self._over:
            raise ended()

        def effect() -> Any:
            if not self.alive():
                raise ended()
            self._used = self._postgres.scene.loop.now
            return getattr(self, f"_{name}")(*arguments)

        try:
            return await ask(self._postgres.scene, simply(effect), ended, self._postgres.is_up, SHARE)
        except asyncpg.PostgresConnectionError:
            self._postgres.scene.note("session lost")
            self.end()
            raise

    # The statements.

    def _try_lock(self, _: int) -> bool:
        if self._postgres.leader is None or not self._postgres.leader.alive():
            self._postgres.leader = self
            self._postgres.scene.note("leads")
        return self._postgres.leader is self

    def _hear_leader(self) -> None:
        self._postgres.heard = self, self._postgres.scene.loop.now

    def _end_silent_leader(self, _: int) -> None:
        session, at = self._postgres.heard
        if session is self._postgres.leader and self._postgres.scene.loop.now - at > SILENT_S:
            session.end()

    def _check_leader(self, _: int) -> bool:
        return self._postgres.leader is self

    def _last_outbox_number(self) -> int:
        return self._postgres.number

    def _outbox_writers(self) -> list[str]:
        return list(self._postgres.writers)

    def _sequence_outbox(self, low: int, limit: int) -> dict[str, Any]:
        self._postgres.checks.require(self._postgres.leader is self, "Somebody numbers who does not lead.")
        return self._postgres.sequence(low, limit)
