"""Postgres as a child: durable settings, TCP on the loopback with passwords only, roles and database made.

There is no Unix socket, hence no path limit and no door beside the passwords. The data directory is entered before
the change of user and named by /proc/self/cwd, so the directories above it may stay closed to that user.
"""

import os
import shutil
from pathlib import Path
from signal import SIGINT

import asyncpg

from adapters.postgres.database import LIMITS
from infra.embedded.binaries import User, postgres_bin, postgres_user
from infra.embedded.child import Command, Failed, Process, spawn, tail, until
from infra.embedded.home import HOST, Home, write_private

STOP = SIGINT  # fast shutdown; SIGTERM waits for all clients
HERE = "/proc/self/cwd"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}

CONF = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 100
tcp_keepalives_idle = 60
tcp_keepalives_interval = 10
tcp_keepalives_count = 3

fsync = on
full_page_writes = on
synchronous_commit = on

shared_buffers = '128MB'
effective_cache_size = '1GB'
work_mem = '8MB'
maintenance_work_mem = '64MB'
max_wal_size = '1GB'
max_parallel_workers_per_gather = 0
jit = off
shared_preload_libraries = '{preload}'

timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
lc_messages = 'C.UTF-8'
lc_monetary = 'C.UTF-8'
lc_numeric = 'C.UTF-8'
lc_time = 'C.UTF-8'
"""

HBA = f"""\
host all         all      {HOST}/32 scram-sha-256
host replication postgres {HOST}/32 scram-sha-256
"""

# Groups exist before the schema does, so that migrations grant to them without being allowed to make roles.
# The login is also that of people and of foreign transactions, by run.json: one that never ends would hold up all.
ROLES = """
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['postcommit_owner', 'postcommit_app', 'postcommit_caller', 'postcommit'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
    END LOOP;
END $$;
ALTER ROLE postcommit_owner LOGIN CREATEROLE PASSWORD '{postcommit_owner}';
ALTER ROLE postcommit LOGIN PASSWORD '{postcommit}';
GRANT postcommit_app, postcommit_caller TO postcommit_owner WITH ADMIN OPTION;
GRANT postcommit_app, postcommit_caller TO postcommit;
ALTER ROLE postcommit SET statement_timeout = '{statement_timeout}';
ALTER ROLE postcommit SET idle_in_transaction_session_timeout = '{idle_in_transaction_session_timeout}';
ALTER ROLE postcommit RESET lock_timeout;
"""
DATABASE = "CREATE DATABASE postcommit OWNER postcommit_owner TEMPLATE template0"
INSIDE = """
GRANT CREATE, USAGE ON SCHEMA public TO postcommit;
{extension}
"""


def command(home: Home) -> Command:
    """How to start the server; makes the data directory on the first call and writes the settings on every one."""
    user = postgres_user()
    binaries = postgres_bin(user)
    data = home.path / "postgres"
    if not data.exists():
        _initdb(home, binaries, user)
    _forget_the_dead(data)
    _configure(home, data, binaries, user)
    return Command(
        name="postgres",
        argv=(str(binaries / "postgres"), "-D", HERE),
        cwd=data,
        env=ENVIRONMENT,
        user=user,
        log=home.log("postgres"),
        lock=home.lock("postgres"),
        orphaned=STOP,
    )


async def ready(home: Home, process: Process) -> None:
    """Wait until this very process takes connections, and the roles and the database are there. Raises Failed."""

    async def says_so() -> bool:
        lines = _lines(home.path / "postgres/postmaster.pid")
        return lines[:1] == [str(process.pid)] and lines[7:] == ["ready"]  # a stale file says ready too

    await until(process, home.log("postgres"), says_so)
    try:
        await _bootstrap(home)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Failed(f"Postgres could not be prepared: {error}, {tail(home.log('postgres'))}") from error


def _lines(pidfile: Path) -> list[str]:
    """Of postmaster.pid: the first is the process id, the eighth and last the status."""
    try:
        return [line.strip() for line in pidfile.read_text().splitlines()]
    except OSError:
        return []


def _forget_the_dead(data: Path) -> None:
    """Remove a postmaster.pid whose process is gone, a zombie, or another program with the same number.

    Postgres takes any living number for a postmaster and refuses to start, which is common in containers, where
    numbers are small and nobody collects zombies. A true postmaster works in its data directory."""
    lines = _lines(data / "postmaster.pid")
    try:
        if lines and Path(f"/proc/{lines[0]}/cwd").samefile(data):
            return
    except OSError:
        pass  # it has no directory: it is no more
    (data / "postmaster.pid").unlink(missing_ok=True)


def _initdb(home: Home, binaries: Path, user: User | None) -> None:
    """Make the data directory under another name first: one that carries the right name is whole."""
    fresh = home.path / "postgres.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if user:
        os.chown(fresh, user.uid, user.gid)
    process = spawn(
        Command(
            name="initdb",
            argv=(
                str(binaries / "initdb"), "-D", HERE, "-U", "postgres", "--pwfile=/dev/stdin",
                "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            ),
            cwd=fresh,
            env=ENVIRONMENT,
            user=user,
            stdin=f"{home.secrets['postgres']['postgres']}\n".encode(),
            log=home.log("initdb"),
            lock=home.lock("postgres"),
        )
    )  # fmt: skip
    if process.wait() != 0:
        raise Failed(f"The Postgres data directory could not be made, {tail(home.log('initdb'))}")
    fresh.rename(home.path / "postgres")


def _configure(home: Home, data: Path, binaries: Path, user: User | None) -> None:
    conf = CONF.format(host=HOST, port=home.ports["postgres"], preload=_preload(binaries))
    for name, text in (("postgresql.conf", conf), ("pg_hba.conf", HBA)):
        write_private(data / name, text)
        if user:
            os.chown(data / name, user.uid, user.gid)


def _preload(binaries: Path) -> str:
    return "pg_stat_statements" if any(binaries.parent.glob("lib/**/pg_stat_statements.so")) else ""


async def _bootstrap(home: Home) -> None:
    """Every start makes again what is missing, so a crash in the middle of the first one does no harm."""
    server = await asyncpg.connect(home.dsn("postgres", "postgres"))
    try:
        await server.execute(ROLES.format(**LIMITS, **home.secrets["postgres"]))
        if not await server.fetchval("SELECT true FROM pg_database WHERE datname = 'postcommit'"):
            await server.execute(DATABASE)
        preload = await server.fetchval("SHOW shared_preload_libraries")
    finally:
        await server.close()
    database = await asyncpg.connect(home.dsn("postgres"))
    try:
        extension = f"CREATE EXTENSION IF NOT EXISTS {preload};" if preload else ""
        await database.execute(INSIDE.format(extension=extension))
    finally:
        await database.close()
