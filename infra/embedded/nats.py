"""nats-server as a child: JetStream that syncs every write, and one user with its own rights for each role.

Who asks the server for something names the subject of the answer, and the server does not look whether they may publish
there: with `$JS.API.STREAM.DELETE.LOG` as that subject, whoever may read a message could delete the stream (tried on
2.15.1). So subscribers live in an account of their own, into which only the calls of a reader are imported."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from signal import SIGTERM

import nats
from nats.errors import Error as NatsError

from infra.embedded.binaries import nats_server
from infra.embedded.child import Command, Process, until
from infra.embedded.home import HOST, Home, write_private

GIGABYTE = 1024**3
NOTHING: tuple[str, ...] = ()

ONE_ANSWER = (
    "$JS.API.INFO",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.INFO.LOG",
    "$JS.API.STREAM.MSG.GET.LOG",
    "$JS.API.CONSUMER.CREATE.LOG.>",
    "$JS.API.CONSUMER.DURABLE.CREATE.LOG.*",
    "$JS.API.CONSUMER.INFO.LOG.*",
    "$JS.API.CONSUMER.DELETE.LOG.*",
    "$JS.ACK.LOG.>",
    "$JS.ACK.*.*.LOG.>",
    "$JS.FC.LOG.>",
)
MANY_ANSWERS = ("$JS.API.CONSUMER.MSG.NEXT.LOG.*", "$JS.API.DIRECT.GET.LOG", "$JS.API.DIRECT.GET.LOG.>")
# The older form of this call has the consumer's name in its payload, where no right can see whose it is.
UNNAMED = "$JS.API.CONSUMER.CREATE.LOG"
NAMED = "$JS.API.CONSUMER.CREATE.LOG.{{random(2147483647)}}"

CONF = """\
server_name: "postcommit"
listen: "{host}:{port}"
max_payload: 2MB
jetstream {{
  store_dir: "{store}"
  sync_interval: always
  max_file_store: {file_bytes}
  max_memory_store: 67108864
}}
{accounts}"""

ACCOUNTS = """\
authorization {{
  timeout: 5
}}
accounts {{
  POSTCOMMIT {{
    jetstream: enabled
    users: [
{users}
    ]
    exports: [
{exports}
    ]
  }}
  SUBSCRIBERS {{
    users: [
{subscriber}
    ]
    mappings {{ "{unnamed}": "{named}" }}
    imports: [
{imports}
    ]
  }}
}}
"""


def command(home: Home, queues: Sequence[str]) -> Command:
    """How to start the server; writes its settings. The queues say which durables the user `worker` may use."""
    folder = home.path / "nats"
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(folder / "nats.conf", _conf(home, queues))
    return Command(
        name="nats",
        argv=(str(nats_server()), "-c", str(folder / "nats.conf")),
        log=home.log("nats"),
        lock=home.lock("nats"),
        orphaned=SIGTERM,
    )


async def ready(home: Home, process: Process) -> None:
    """Wait until JetStream answers: for a moment after the start it does not. Raises Failed."""

    async def answers() -> bool:
        try:
            client = await nats.connect(
                home.nats("admin"),
                allow_reconnect=False,
                connect_timeout=1,
                reconnect_time_wait=0.02,  # also the pause between dials of the first connect: 2 s if not told
                error_cb=_unheard,
            )
        except (OSError, NatsError, TimeoutError):
            return False
        try:
            await client.jetstream(timeout=1).account_info()
        except (NatsError, TimeoutError):
            return False
        finally:
            await client.close()
        return True

    await until(process, home.log("nats"), answers)


def wipe(home: Home) -> None:
    """Lose everything that JetStream has stored. The server must not run."""
    shutil.rmtree(home.path / "nats/store", ignore_errors=True)


def rights(queues: Sequence[str]) -> Mapping[str, tuple[Sequence[str], Sequence[str], Sequence[str]]]:
    """For each user: what it may publish, what of that it may not, and what it may subscribe to.

    A wildcard stands for a whole token, so the workers' durables are listed one by one."""
    durables = [f"worker-{queue}-v1" for queue in queues]
    consumer = "$JS.API.CONSUMER"
    acks = [ack for name in durables for ack in (f"$JS.ACK.LOG.{name}.>", f"$JS.ACK.*.*.LOG.{name}.>")]
    verbs = ("CREATE", "DURABLE.CREATE", "INFO", "MSG.NEXT", "DELETE")
    calls = [f"{consumer}.{verb}.LOG.{name}" for verb in verbs for name in durables]
    return {
        "api": (["bells.v1.>"], NOTHING, ["bells.v1.>", "_INBOX_api.>"]),
        "relay": (
            ["bells.v1.>", "events.v1.>", "tasks.v1.>", "$JS.API.>"],
            NOTHING,
            ["bells.v1.>", "_INBOX_relay.>"],
        ),
        "worker": (
            [f"{consumer}.MSG.NEXT.LOG.{name}" for name in durables] + acks + ["bells.v1.log"],
            NOTHING,
            ["bells.v1.>", "_INBOX_worker.>"],
        ),
        "reader": (["bells.v1.>"], NOTHING, ["bells.v1.>", "_INBOX_reader.>"]),
        "subscriber": (
            [*ONE_ANSWER, *MANY_ANSWERS, UNNAMED],
            calls + [f"{consumer}.CREATE.LOG.{name}.>" for name in durables] + acks,
            ["_INBOX.>"],
        ),
        "admin": ([">"], NOTHING, [">"]),
    }


def accounts(passwords: Mapping[str, str], queues: Sequence[str]) -> str:
    """The accounts of a server's configuration, as text. The passwords are as they stand there: quoted, or $NAME for
    a variable of the server's environment."""
    users = {name: _user(name, passwords[name], *allowed) for name, allowed in rights(queues).items()}
    return ACCOUNTS.format(
        subscriber=users.pop("subscriber"),
        users="\n".join(users.values()),
        exports="\n".join(_exports()),
        imports="\n".join(_imports()),
        unnamed=UNNAMED,
        named=NAMED,
    )


def _conf(home: Home, queues: Sequence[str]) -> str:
    return CONF.format(
        host=HOST,
        port=home.ports["nats"],
        store=home.path / "nats/store",
        file_bytes=_room(home.path),
        accounts=accounts({name: f'"{secret}"' for name, secret in home.secrets["nats"].items()}, queues),
    )


def _exports() -> Iterator[str]:
    """What subscribers may use: calls, and what is pushed to inboxes without the name of a role."""
    for subject in ONE_ANSWER:
        yield f'      {{ service: "{subject}" }}'
    for subject in MANY_ANSWERS:
        yield f'      {{ service: "{subject}", response: stream }}'
    yield '      { stream: "_INBOX.>" }'


def _imports() -> Iterator[str]:
    for subject in (*ONE_ANSWER, *MANY_ANSWERS):
        yield f'      {{ service: {{ account: POSTCOMMIT, subject: "{subject}" }} }}'
    yield '      { stream: { account: POSTCOMMIT, subject: "_INBOX.>" } }'


def _user(name: str, password: str, publish: Sequence[str], never: Sequence[str], subscribe: Sequence[str]) -> str:
    allowed = f"publish: {{ allow: [{_quoted(publish)}], deny: [{_quoted(never)}] }}"
    heard = f"subscribe: {{ allow: [{_quoted(subscribe)}] }}"
    return f'      {{ user: "{name}", password: {password}, permissions: {{ {allowed}, {heard} }} }}'


def _quoted(subjects: Sequence[str]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)


def _room(path: Path) -> int:
    """What JetStream may take of the disk, in bytes: without a limit a full disk is found out too late."""
    return min(10 * GIGABYTE, shutil.disk_usage(path).free * 3 // 4)


def most_bytes(home: Home) -> int:
    """How much the stream may keep: the server refuses one that is larger than all that it may store."""
    return min(2 * GIGABYTE, _room(home.path) * 4 // 5)


async def _unheard(_: Exception) -> None:
    """A server that is not there yet is no news."""
