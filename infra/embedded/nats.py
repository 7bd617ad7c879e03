"""nats-server as a child: JetStream that syncs every write, with the accounts of infra/accounts.py."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM

import nats
from nats.errors import Error as NatsError

from infra.accounts import accounts
from infra.asking import unheard
from infra.embedded import passwords
from infra.embedded.binaries import nats_server
from infra.embedded.child import Command, Process, until
from infra.embedded.home import HOST, Home, write_private

GIGABYTE = 1024**3

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
include "accounts.conf"
"""


def command(home: Home, queues: Sequence[str]) -> Command:
    """How to start the server; writes its settings. The queues say which durables the user `worker` may use."""
    folder = home.path / "nats"
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(folder / "nats.conf", _conf(home))
    write_accounts(home, queues)
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
                error_cb=unheard,
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
    with suppress(FileNotFoundError):
        shutil.rmtree(home.path / "nats/store")


def write_accounts(home: Home, queues: Sequence[str]) -> None:
    """Write who may do what; a server that runs takes it at a SIGHUP."""
    roles = _quoted_all(home.secrets["nats"])
    with passwords.reading(home) as registered:
        write_private(home.path / "nats/accounts.conf", accounts(roles, queues, _quoted_all(registered)))


def _quoted_all(secrets: Mapping[str, str]) -> Mapping[str, str]:
    return {name: f'"{password}"' for name, password in secrets.items()}


def _conf(home: Home) -> str:
    return CONF.format(host=HOST, port=home.ports["nats"], store=home.path / "nats/store", file_bytes=_room(home.path))


def _room(path: Path) -> int:
    """What JetStream may take of the disk, in bytes: without a limit a full disk is found out too late."""
    return min(10 * GIGABYTE, shutil.disk_usage(path).free * 3 // 4)


def most_bytes(home: Home) -> int:
    """How much the stream may keep: the server refuses one that is larger than all that it may store."""
    return min(2 * GIGABYTE, _room(home.path) * 4 // 5)
