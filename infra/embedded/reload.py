"""Makes the embedded nats-server take its accounts again: a SIGHUP, to the very process that holds its lock."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import nats
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from adapters.nats.names import STREAM, consumer
from infra.asking import unheard
from infra.embedded.home import HOST, Home

PATIENCE_S = 30.0
ONE_TRY_S, PAUSE_S = 1.0, 0.1


def reload(home: Home) -> bool:
    """Ask the server to read its configuration again; False where none runs, and the next one reads it anyway.

    The number in the lock's file may belong to another process by now: only who has that file open is meant."""
    lock = home.lock("nats")
    try:
        pid = int(lock.read_text())
        process = os.pidfd_open(pid)
    except (OSError, ValueError):
        return False
    try:
        if not _holds(pid, lock):
            return False
        signal.pidfd_send_signal(process, signal.SIGHUP)
    except OSError:  # it has ended meanwhile
        return False
    finally:
        os.close(process)
    return True


async def let_in(home: Home, name: str, password: str) -> str | None:
    """Reload until the server lets the consumer in and passes its calls on; says what is still missing, in a sentence.

    The first reload makes an account, but its calls get no answer before the second (tried on 2.15.1)."""
    deadline = time.monotonic() + PATIENCE_S
    durable = False
    while time.monotonic() < deadline:
        if not reload(home):
            return "NATS does not run just now: the consumer is let in as soon as it does."
        until = time.monotonic() + ONE_TRY_S
        while time.monotonic() < until:
            answer = await _answer(home, name, password)
            if answer == "ready":
                return None
            durable = durable or answer == "no durable"
            if durable:
                until = deadline
            await asyncio.sleep(PAUSE_S)
    if durable:
        return "The consumer is let in; the relay has not made its durable yet."
    return f"NATS did not let the consumer in within {PATIENCE_S:.0f} s: see {home.log('nats')}."


async def _answer(home: Home, name: str, password: str) -> str:
    """What the server says to the consumer who asks for its durable."""
    with suppress(OSError, NatsError, TimeoutError):
        client = await nats.connect(
            f"nats://{consumer(name)}:{password}@{HOST}:{home.ports['nats']}",
            inbox_prefix=f"_INBOX_{name}",
            allow_reconnect=False,
            connect_timeout=1,
            reconnect_time_wait=0.05,
            error_cb=unheard,
        )
        try:
            subject = f"$JS.API.CONSUMER.INFO.{STREAM}.{consumer(name)}"
            told = await client.request(subject, b"", timeout=1)
            return "no durable" if b'"error"' in told.data else "ready"
        except NoRespondersError:
            return "unheard"
        finally:
            await client.close()
    return "not let in"


def _holds(pid: int, file: Path) -> bool:
    try:
        return any(file.samefile(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.exists())
    except OSError:
        return False
