"""Sends signed notices as Standard Webhooks describes them: an HTTP POST, no redirect, no private network.

Where a name leads is looked at when the connection is made, and the connection goes to the address that was looked at:
a name that changes its mind in between (DNS rebinding) gains nothing."""

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpcore
from httpcore._backends.auto import AutoBackend
from standardwebhooks.webhooks import Webhook

from domain.warehouse import flaw, is_public

TIMEOUT_S = 20.0
MOST_ANSWER = 64 * 1024  # bytes of the far side's answer that are read
GONE = 410


@dataclass(frozen=True, slots=True)
class Notice:
    url: str
    id: str  # `webhook-id`: the same for every attempt, so that a repeat is recognised
    body: bytes  # JSON


class Refused(Exception):
    """This notice cannot be sent as it is, or the far side wants no more of them (410)."""


class Failed(Exception):
    """The far side did not take it this time."""


Post = Callable[[Notice], Awaitable[int]]
"""Sends one notice and answers with the status, which is 200 to 299. Raises Refused, or any other error worth another
try."""


def webhook(secret: str, private: bool) -> Post:
    """A sender that signs with the secret (`whsec_` and base64). `private` allows http and private networks."""
    signer = Webhook(secret) if secret else None
    backend: httpcore.AsyncNetworkBackend = AutoBackend() if private else PublicOnly()

    async def post(notice: Notice) -> int:
        if wrong := flaw(notice.url, private):
            raise Refused(f"The address {notice.url!r} cannot be used: {wrong}.")
        if signer is None:
            raise Refused("There is no secret to sign it with: the setting webhook_secret is empty.")
        at = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "postcommit",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signer.sign(notice.id, at, notice.body.decode()),
        }
        status = await _post(backend, notice, headers)
        if status == GONE:
            raise Refused("The far side answered 410: it wants no more of these.")
        if not 200 <= status < 300:
            raise Failed(f"The far side answered {status}.")
        return status

    return post


async def _post(backend: httpcore.AsyncNetworkBackend, notice: Notice, headers: dict[str, str]) -> int:
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
    pool = httpcore.AsyncConnectionPool(network_backend=backend, ssl_context=ssl.create_default_context())
    async with asyncio.timeout(TIMEOUT_S), pool:
        asked = pool.stream(
            "POST", notice.url, headers=list(headers.items()), content=notice.body, extensions={"timeout": timeouts}
        )
        async with asked as response:
            read = 0
            async for chunk in response.aiter_stream():  # its end is waited for, but not for ever
                read += len(chunk)
                if read > MOST_ANSWER:
                    break
            return int(response.status)


class PublicOnly(AutoBackend):
    """Connects to addresses of the public internet only."""

    async def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> httpcore.AsyncNetworkStream:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(address[0]) for *_, address in found]
        if private := [address for address in addresses if not is_public(address)]:
            raise Refused(f"{host} leads to {private[0]}, which is in a private network.")
        return await super().connect_tcp(addresses[0], port, *rest, **more)

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise Refused(f"A notice is not sent to the socket {path}.")


def verified(secret: str, headers: Iterable[tuple[str, str]], body: bytes) -> Any:
    """The notice as JSON, for a receiver. Raises standardwebhooks.WebhookVerificationError where the signature is not
    good, or more than five minutes old."""
    Webhook(secret).verify(body, {name.lower(): value for name, value in headers}, json_parse=False)
    return json.loads(body)
