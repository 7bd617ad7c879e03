"""Do the embedded servers survive what they promise? Real servers, real signals."""

import asyncio
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import asyncpg
import nats
import pytest
from nats.aio.client import Client

from adapters.postgres.database import LIMITS
from infra.accounts import account
from infra.app import QUEUES
from infra.embedded import passwords
from infra.embedded.binaries import User, postgres_bin, postgres_user
from infra.embedded.child import Command, Failed, spawn, take
from infra.embedded.home import HOST, Refused, free_port, occupied, port_is_free
from infra.embedded.nats import write_accounts
from infra.embedded.servers import Servers, spawning, start_servers
from infra.embedded.supervisor import RESERVE_S
from infra.roles.runs import STOP_TRIES
from infra.roles.up import up
from tests.waiting import alive, until, until_told

GONE = (OSError, asyncpg.PostgresError)  # it is being started again

# A stand-in for our roles: the API answers /readyz, the others live, and one that is misconfigured says so.
SUPERVISOR = """
import sys
from pathlib import Path
from infra.roles import up as roles_up
from infra.roles.up import Role, up

API = '''
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')
HTTPServer(("127.0.0.1", int(os.environ["POSTCOMMIT_PORT"])), Ready).serve_forever()
'''
LIVE = "import os, time; print(os.environ['POSTCOMMIT_NATS'], os.environ['POSTCOMMIT_LEASE_S']); time.sleep(3600)"
SLOW = '''
import signal, sys, time
def end(*_):
    time.sleep(float(sys.argv[1]))
    print("ended by itself")
    sys.exit()
signal.signal(signal.SIGTERM, end)
time.sleep(3600)
'''
STEP = "import json, os, sys; assert os.environ['POSTCOMMIT_POSTGRES_OWNER']; print(sorted(json.load(sys.stdin)))"
home, port, kind = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
python = lambda code: (sys.executable, "-u", "-c", code)
roles = [Role("api", python(API)), Role("relay", python(LIVE)), Role("worker", python(LIVE), count=2)]
if kind == "slow":
    roles_up.RESERVE_S = 0.5
    roles[-1:] = [Role("worker", (*python(SLOW), "1.5")), Role("reader", (*python(SLOW), "3600"))]
if kind == "workless":
    roles.pop()
if kind == "misconfigured":
    roles.append(Role("reader", python("print('The setting lease_s is odd.'); raise SystemExit(78)")))
sys.exit(up(home, port, detach=kind == "detached", steps=[Role("migrate", python(STEP))], roles=roles, grace_s=2.0))
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with start_servers(tmp_path_factory.mktemp("embedded") / ("long" * 30), queues=("default", "email")) as running:
        yield running


async def test_the_servers_keep_their_data_when_they_are_killed(servers: Servers) -> None:
    await sql(servers.dsn(), "CREATE TABLE kept AS SELECT 1 AS one")
    await _make_stream(servers)
    for server in (servers.postgres, servers.nats):
        before = server.pid
        server.kill()
        assert server.pid == 0
        server.start()
        assert server.pid != before
    assert await sql(servers.dsn(), "SELECT one FROM kept") == 1
    assert await _streams(servers) == ["LOG"]


def test_the_mail_sink_refuses_whom_there_cannot_be(servers: Servers) -> None:
    with smtplib.SMTP("127.0.0.1", servers.home.ports["mail"], timeout=10) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            client.sendmail("a@example.com", ["ada@nowhere.INVALID"], "Hello")
        assert client.sendmail("a@example.com", ["ada@example.com", "b@x.invalid"], "Hello").keys() == {"b@x.invalid"}
    assert refused.value.recipients["ada@nowhere.INVALID"][0] == 550


def test_a_wiped_nats_has_no_streams(servers: Servers) -> None:
    asyncio.run(_make_stream(servers))
    servers.wipe_nats()
    assert asyncio.run(_streams(servers)) == []


async def test_postgres_promises_durability_and_limits_its_users(servers: Servers) -> None:
    for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
        assert await sql(servers.dsn(), f"SHOW {name}") == "on"
    assert await sql(servers.dsn(), "SHOW statement_timeout") == LIMITS["statement_timeout"] == "10s"
    assert await sql(servers.dsn(), "SHOW idle_in_transaction_session_timeout") == "1min"
    assert await sql(servers.dsn(), "SHOW lock_timeout") == "0", "what waits is the caller's own affair"
    assert await sql(servers.dsn(), "SHOW transaction_timeout") == "0"
    member = "SELECT pg_has_role('postcommit', 'postcommit_app', 'USAGE') AND NOT rolsuper FROM pg_roles"
    assert await sql(servers.dsn(), f"{member} WHERE rolname = 'postcommit_owner'") is True
    await sql(servers.dsn("postcommit_owner"), "CREATE SCHEMA mine; GRANT USAGE ON SCHEMA mine TO postcommit_app")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await sql(servers.dsn(), "CREATE SCHEMA theirs")


async def test_postgres_lets_nobody_in_without_the_password(servers: Servers) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await sql(servers.dsn().replace(servers.home.secrets["postgres"]["postcommit"], "guess"), "SELECT 1")


def test_the_mail_sink_ends_cleanly_though_a_client_is_connected(servers: Servers) -> None:
    with smtplib.SMTP("127.0.0.1", servers.home.ports["mail"]):
        servers.mail.stop()
    assert servers.mail.process and servers.mail.process.returncode == 0
    servers.mail.start()


def test_mail_is_a_whole_file_once_it_is_accepted(servers: Servers) -> None:
    with smtplib.SMTP("127.0.0.1", servers.home.ports["mail"]) as client:
        client.sendmail("from@example.com", ["a@example.com", "b@example.com"], "Subject: Hello\r\n\r\n.dot\r\n")
    message = message_from_bytes(servers.mails[-1].read_bytes())
    assert message["X-Envelope-From"] == "from@example.com"
    assert message["X-Envelope-To"] == "a@example.com, b@example.com"
    assert (message["Subject"], message.get_payload()) == ("Hello", ".dot\r\n")


ALLOWED = [
    ("relay", "events.v1.order.placed.1"),
    ("relay", "bells.v1.log"),
    ("api", "bells.v1.log"),
    ("worker", "$JS.API.CONSUMER.MSG.NEXT.LOG.worker-email-v1"),
    ("worker", "$JS.ACK.LOG.worker-email-v1.1.1.1.1.1"),
    ("worker", "$JS.ACK._.x.LOG.worker-email-v1.1.1.1.1.1"),
    ("subscriber", "$JS.API.CONSUMER.CREATE.LOG.billing.events.v1.order.>"),
    ("subscriber", "$JS.API.CONSUMER.MSG.NEXT.LOG.billing"),
    ("subscriber", "$JS.ACK._.x.LOG.billing.1.1.1.1.1"),
    ("subscriber", "$JS.API.DIRECT.GET.LOG"),
    ("subscriber", "$JS.API.STREAM.INFO.LOG"),
    ("subscriber", "$JS.API.STREAM.NAMES"),
    ("subscriber", "$JS.API.CONSUMER.CREATE.LOG"),
    ("subscriber", "$JS.API.CONSUMER.DURABLE.CREATE.LOG.billing"),
    ("relay", "tasks.v1.email.email_welcome.queued.1"),
    ("relay", "$JS.API.STREAM.DELETE.LOG"),
    ("relay", "$JS.API.CONSUMER.DURABLE.CREATE.LOG.worker-email-v1"),
]
DENIED = [
    ("api", "tasks.v1.email.email_welcome.queued.1"),
    ("api", "$JS.API.STREAM.CREATE.LOG"),
    ("api", "$JS.API.CONSUMER.MSG.NEXT.LOG.worker-email-v1"),
    ("worker", "events.v1.order.placed.1"),
    ("worker", "$JS.API.STREAM.DELETE.LOG"),
    ("worker", "$JS.API.CONSUMER.DURABLE.CREATE.LOG.worker-email-v1"),
    ("worker", "$JS.API.CONSUMER.DELETE.LOG.worker-email-v1"),
    ("worker", "$JS.ACK.LOG.billing.1.1.1.1.1.1"),
    ("reader", "events.v1.order.placed.1"),
    ("reader", "tasks.v1.email.email_welcome.queued.1"),
    ("reader", "$JS.API.STREAM.PURGE.LOG"),
    ("subscriber", "tasks.v1.email.email_welcome.queued.1"),
    ("subscriber", "bells.v1.queue.email"),
    ("subscriber", "$JS.API.STREAM.CREATE.LOG"),
    ("subscriber", "$JS.API.STREAM.DELETE.LOG"),
    ("subscriber", "$JS.API.STREAM.PURGE.LOG"),
    ("subscriber", "$JS.API.STREAM.MSG.DELETE.LOG"),
    ("subscriber", "$JS.API.CONSUMER.DURABLE.CREATE.LOG.worker-email-v1"),
    ("api", "events.v1.order.placed.1"),
    ("api", "$JS.API.STREAM.DELETE.LOG"),
    ("worker", "tasks.v1.email.email_welcome.queued.1"),
    ("worker", "bells.v1.email"),
    ("worker", "$JS.API.CONSUMER.MSG.NEXT.LOG.billing"),
    ("worker", "$JS.API.STREAM.PURGE.LOG"),
    ("reader", "$JS.API.INFO"),
    ("subscriber", "events.v1.order.placed.1"),
    ("subscriber", "$JS.API.STREAM.UPDATE.LOG"),
    ("subscriber", "$JS.API.CONSUMER.CREATE.LOG.worker-email-v1"),
    ("subscriber", "$JS.API.CONSUMER.CREATE.LOG.worker-email-v1.tasks.v1.email.>"),
    ("subscriber", "$JS.API.CONSUMER.MSG.NEXT.LOG.worker-email-v1"),
    ("subscriber", "$JS.API.CONSUMER.DELETE.LOG.worker-default-v1"),
    ("subscriber", "$JS.ACK.LOG.worker-email-v1.1.1.1.1.1"),
    ("subscriber", "$JS.ACK._.x.LOG.worker-email-v1.1.1.1.1.1"),
]


@pytest.mark.parametrize(("user", "subject", "may"), [(*c, True) for c in ALLOWED] + [(*c, False) for c in DENIED])
def test_each_nats_user_may_do_its_own_work_only(servers: Servers, user: str, subject: str, may: bool) -> None:
    assert asyncio.run(_may_publish(servers, user, subject)) == may


def test_a_subscriber_cannot_make_a_workers_durable_under_another_subject(servers: Servers) -> None:
    async def attempt() -> dict[str, Any]:
        await _make_stream(servers)
        async with connected(servers, "subscriber") as client:
            wanted = {"durable_name": "worker-email-v1", "name": "worker-email-v1", "ack_policy": "explicit"}
            request = json.dumps({"stream_name": "LOG", "config": wanted}).encode()
            answer = await client.request("$JS.API.CONSUMER.CREATE.LOG.billing", request, timeout=2)
            return dict(json.loads(answer.data))

    assert "error" in asyncio.run(attempt())


def test_nobody_hears_the_answers_of_another(servers: Servers) -> None:
    assert asyncio.run(_may_subscribe(servers, "worker", "_INBOX_worker.x"))
    assert not asyncio.run(_may_subscribe(servers, "worker", "_INBOX_relay.x"))
    assert not asyncio.run(_may_subscribe(servers, "subscriber", "tasks.v1.>"))
    assert not asyncio.run(_may_subscribe(servers, "reader", ">"))
    assert not asyncio.run(_may_subscribe(servers, "subscriber", "_INBOX_worker.fetch.>"))
    assert not asyncio.run(_may_subscribe(servers, "subscriber", "bells.v1.>"))
    assert not asyncio.run(_may_subscribe(servers, "api", "events.v1.>"))


async def test_consumers_that_many_operators_add_at_once_are_all_in_the_accounts(servers: Servers) -> None:
    names = [f"crowd-{number}" for number in range(24)]

    def add(name: str) -> None:
        with passwords.changing(servers.home) as kept:
            kept[name] = passwords.password()
        write_accounts(servers.home, QUEUES)

    await asyncio.gather(*(asyncio.to_thread(add, name) for name in names))
    known, written = passwords.known(servers.home), (servers.home.path / "nats/accounts.conf").read_text()
    assert known.keys() >= set(names)
    assert [name for name in names if account(name, f'"{known[name]}"') not in written] == []


def test_a_directory_has_one_supervisor(servers: Servers) -> None:
    with pytest.raises(Refused, match=f"already served by process {os.getpid()}"), start_servers(servers.home.path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user")
def test_root_copies_binaries_that_the_user_cannot_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = postgres_user()
    assert user
    monkeypatch.setattr("infra.embedded.binaries.CACHE", tmp_path / "cache")
    monkeypatch.setattr("infra.embedded.binaries._runs", lambda binary, user: False)
    copied = postgres_bin(user)
    told = subprocess.run([copied / "postgres", "--version"], capture_output=True, text=True, check=True)
    assert copied.is_relative_to(tmp_path) and "PostgreSQL) 18" in told.stdout
    assert isinstance(user, User) and postgres_bin(user) == copied


async def test_what_is_killed_comes_back_and_run_json_says_so_within_moments(tmp_path: Path) -> None:
    with supervised(tmp_path) as run:
        told = run()
        assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
        assert len(told["pids"]["worker"]) == 2 and set(told["keys"]) == {"operator", "client", "worker", "auditor"}
        for name in ("worker", "api", "postgres", "nats", "mail"):
            killed = run()["pids"][name]
            os.kill(killed[0], signal.SIGKILL)
            await until(lambda: len(run()["pids"][name]) == len(killed) and killed[0] not in run()["pids"][name])  # noqa: B023
        await until_told(lambda: sql(told["postgres"], "SELECT 1"), away=GONE)
        assert "['auditor', 'client', 'operator', 'worker']" in (tmp_path / "logs/migrate.log").read_text()
        assert told["nats"].replace("subscriber", "relay").split(":")[1] in (tmp_path / "logs/relay.log").read_text()
    assert not (tmp_path / "run.json").exists()
    await until(lambda: not any(alive(pid) for pids in told["pids"].values() for pid in pids))


def test_workers_of_one_machine_share_its_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in ((None, max((os.cpu_count() or 1) // 2, 1)), ("7", 7)):
        if given is not None:
            monkeypatch.setenv("POSTCOMMIT_MEDIA_SLOTS", given)
        with supervised(tmp_path) as run:
            environs = [Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in run()["pids"]["worker"]]
        assert len(environs) == 2 and all(b"POSTCOMMIT_MEDIA_SLOTS=%d" % expected in one for one in environs)


def test_run_json_names_everything_also_what_has_no_process(tmp_path: Path) -> None:
    with supervised(tmp_path, "workless") as run:
        pids = run()["pids"]
    assert set(pids) == {"supervisor", "postgres", "nats", "mail", "api", "relay", "worker", "reader", "notices"}
    assert pids["worker"] == pids["reader"] == [] and len(pids["relay"]) == 1


async def test_a_killed_supervisor_takes_everything_along_and_the_next_one_starts_at_once(tmp_path: Path) -> None:
    with supervised(tmp_path) as run:
        before = run()
        await sql(before["postgres"], "CREATE TABLE kept AS SELECT 1 AS one")
        os.kill(before["pids"]["supervisor"][0], signal.SIGKILL)
        with supervised(tmp_path) as again:
            after = again()
            assert await sql(after["postgres"], "SELECT one FROM kept") == 1
            assert {k: v for k, v in after.items() if k != "pids"} == {k: v for k, v in before.items() if k != "pids"}
            assert not any(alive(pid) for pids in before["pids"].values() for pid in pids)


async def test_a_server_that_is_killed_again_and_again_comes_back(tmp_path: Path) -> None:
    with supervised(tmp_path) as run:
        for name in ("postgres", "nats") * 4:
            killed = run()["pids"][name]
            os.kill(killed[0], signal.SIGKILL)
            await until(lambda: run()["pids"][name] not in ([], killed))  # noqa: B023  # its readiness is being asked for
        await until_told(lambda: sql(run()["postgres"], "SELECT 1"), away=GONE)
        await until(lambda: len(run()["pids"]["nats"]) == 1)


async def test_everything_is_killed_at_once_and_the_next_supervisor_starts(tmp_path: Path) -> None:
    with supervised(tmp_path) as run:
        before = run()
        await sql(before["postgres"], "CREATE TABLE kept AS SELECT 1 AS one")
        for pids in before["pids"].values():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        with supervised(tmp_path) as again:
            assert await sql(again()["postgres"], "SELECT one FROM kept") == 1


async def test_signals_wipe_nats_and_hold_it(tmp_path: Path) -> None:
    with supervised(tmp_path) as run:
        told = run()
        supervisor, port = told["pids"]["supervisor"][0], int(told["nats"].rsplit(":", 1)[1])
        store = tmp_path / "nats/store/jetstream"
        (store / "mark").touch()
        os.kill(supervisor, signal.SIGUSR1)
        await until(lambda: store.exists() and not (store / "mark").exists() and not port_is_free(port))
        os.kill(supervisor, signal.SIGUSR2)
        await until(lambda: run()["pids"]["nats"] == [] and port_is_free(port))
        await asyncio.sleep(1.0)  # longer than the pause before what has died is started again
        assert port_is_free(port)
        os.kill(supervisor, signal.SIGUSR2)
        await until(lambda: run()["pids"]["nats"] != [] and not port_is_free(port))


def test_a_used_port_is_refused_in_one_sentence(tmp_path: Path, servers: Servers) -> None:
    used = servers.home.ports["mail"]
    told = supervisor(tmp_path, used, "attached").communicate(timeout=30)
    assert told == ("", f"The port {used} is already used by another program.\n")


def test_no_port_of_a_served_directory_is_chosen_for_another(tmp_path: Path) -> None:
    with occupied(tmp_path / "first") as first:
        assert not any(port_is_free(port, untouched=True) for port in first.ports.values())
        for port in first.ports.values():  # and its own servers may listen there
            with socket.create_server((HOST, port)):
                assert not port_is_free(port)
    assert all(port_is_free(port, untouched=True) for port in first.ports.values())


def test_more_ports_for_metrics_than_there_are_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert up(tmp_path, 0, workers=2, relays=1, metrics_port=65_533) == 78
    assert capsys.readouterr().err == "There are not 4 ports for metrics from 65533 on; the last is 65535.\n"


def test_a_second_supervisor_is_refused_in_one_sentence(servers: Servers) -> None:
    second = supervisor(servers.home.path, 0, "detached")
    told = second.communicate(timeout=30)
    assert told == ("", f"The directory {servers.home.path} is already served by process {os.getpid()}.\n")
    assert second.returncode == 78


def test_a_role_that_is_misconfigured_ends_the_supervisor(tmp_path: Path) -> None:
    ending = supervisor(tmp_path, 0, "misconfigured")
    _, err = ending.communicate(timeout=60)
    assert ending.returncode == 78
    assert f"The role reader cannot run with these settings, see {tmp_path}/logs/reader.log" in err
    assert "The setting lease_s is odd." in err
    assert not (tmp_path / "run.json").exists()


def test_a_role_has_its_grace_and_a_reserve_to_end(tmp_path: Path) -> None:
    with supervised(tmp_path, "slow"):
        pass
    assert "ended by itself" in (tmp_path / "logs/worker.log").read_text()
    assert "ended by itself" not in (tmp_path / "logs/reader.log").read_text()


def test_the_reserve_is_longer_than_a_worker_needs_after_its_grace() -> None:
    leaves_nats_s = 3
    assert STOP_TRIES + leaves_nats_s < RESERVE_S


def test_who_holds_a_lock_for_long_is_told_once_and_not_waited_for_without_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = Command(
        name="odd", argv=("/bin/sleep", "60"), log=tmp_path / "odd.log", lock=tmp_path / "locks/odd", cwd=tmp_path
    )
    earlier = spawn(command)
    try:
        with pytest.raises(Failed, match=f"An earlier odd still runs: process {earlier.pid} holds {command.lock}."):
            for process in spawning(command, patience_s=1.3):
                assert process is None
                time.sleep(0.02)
    finally:
        earlier.kill()
        earlier.wait()
    told = f"odd waits for an earlier one: process {earlier.pid} holds {command.lock}.\n"
    assert capfd.readouterr().err == told
    os.close(take(command.lock))


async def test_a_detached_supervisor_outlives_its_parent(tmp_path: Path) -> None:
    port = free_port()
    home = tmp_path / "home"
    parent = supervisor(home, port, "detached")
    out, err = parent.communicate(timeout=60)
    assert (out, err) == (f"postcommit is ready: http://127.0.0.1:{port}  (home {home})\n", "")
    assert parent.returncode == 0
    told = json.loads((home / "run.json").read_text())
    opened = opened_to_others(home)
    os.kill(told["pids"]["supervisor"][0], signal.SIGTERM)
    await until(lambda: not any(alive(pid) for pids in told["pids"].values() for pid in pids))
    assert not (home / "run.json").exists()
    assert opened == []


def test_what_the_servers_keep_is_closed_to_other_users(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with (
            start_servers(tmp_path / "home") as servers,
            smtplib.SMTP("127.0.0.1", servers.home.ports["mail"]) as client,
        ):
            client.sendmail("from@example.com", ["to@example.com"], "Subject: Hello\r\n\r\n")
            assert servers.mails and opened_to_others(servers.home.path) == []
    finally:
        os.umask(before)


def opened_to_others(home: Path) -> list[Path]:
    """What others may read or enter, but for what the servers themselves keep below directories that are closed."""
    paths = [home, *home.iterdir(), *home.glob("logs/*"), *home.glob("mail/*"), *home.glob("locks/*")]
    return [path for path in paths if path.stat().st_mode & 0o077]


def supervisor(home: Path, port: int, kind: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(home), str(port), kind],
        env=os.environ | {"POSTCOMMIT_LEASE_S": "2.5"},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def supervised(home: Path, kind: str = "attached") -> Iterator[Callable[[], dict[str, Any]]]:
    """A supervisor that is ready; what is given reads its run.json."""
    process = supervisor(home, 0, kind)
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert line.startswith("postcommit is ready: http://127.0.0.1:"), process.communicate()
        yield lambda: dict(json.loads((home / "run.json").read_text()))
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL)


async def sql(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        asks = statement[:2] in ("SE", "SH")
        return await (connection.fetchval(statement) if asks else connection.execute(statement))
    finally:
        await connection.close()


class connected:
    """A connection as the role would make it, that keeps what the server complains about."""

    def __init__(self, servers: Servers, user: str) -> None:
        self.url, self.user, self.complaints = servers.nats_url(user), user, list[str]()

    async def __aenter__(self) -> Client:
        prefix = "_INBOX" if self.user in ("subscriber", "admin") else f"_INBOX_{self.user}"
        self.client = await nats.connect(self.url, error_cb=self.complain, inbox_prefix=prefix, allow_reconnect=False)
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def complain(self, error: Exception) -> None:
        self.complaints.append(str(error))


async def _may_publish(servers: Servers, user: str, subject: str) -> bool:
    access = connected(servers, user)
    async with access as client:
        await client.publish(subject, b"")
        await client.flush()
        await asyncio.sleep(0.01)
    return not access.complaints


async def _may_subscribe(servers: Servers, user: str, subject: str) -> bool:
    access = connected(servers, user)
    async with access as client:
        await client.subscribe(subject)
        await client.flush()
        await asyncio.sleep(0.01)
    return not access.complaints


async def _make_stream(servers: Servers) -> None:
    async with connected(servers, "admin") as client:
        await client.jetstream().add_stream(name="LOG", subjects=["events.v1.>", "tasks.v1.>"])


async def _streams(servers: Servers) -> list[str | None]:
    async with connected(servers, "admin") as client:
        return [stream.config.name for stream in await client.jetstream().streams_info()]
