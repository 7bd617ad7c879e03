"""Reads the whole stream back, in batches of direct gets: for those who compare it with the ledger."""

import asyncio
import json
from collections.abc import AsyncGenerator
from uuid import uuid4

from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.nats.names import STREAM

BATCH = 1_000
TIMEOUT_S = 10.0
TRIES, PAUSE_S = 10, 0.1  # any replica may answer, also one that has not stored the last messages yet


async def ids(client: Client, first: int, last: int, inbox: str = "_INBOX") -> AsyncGenerator[tuple[int, str], None]:
    """(position, id) of every message from `first` to `last`; a message without an id has "".

    Raises TimeoutError where the server stops answering."""
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    reply = f"{inbox}.{uuid4().hex}"
    subscription = await client.subscribe(reply, cb=arrived.put)
    left = TRIES
    try:
        while first <= last and left:
            request = {"seq": first, "batch": min(BATCH, last - first + 1)}
            await client.publish(f"$JS.API.DIRECT.GET.{STREAM}", json.dumps(request).encode(), reply=reply)
            begin = first
            while (message := await asyncio.wait_for(arrived.get(), TIMEOUT_S)).headers is not None:
                headers = message.headers
                if "Nats-Sequence" not in headers:  # the end of the batch (204), or nothing there (404)
                    break
                position = int(headers["Nats-Sequence"])
                if position > last:
                    return
                yield position, headers.get("ce-id", "")
                first = position + 1
            if first == begin:
                left -= 1
                await asyncio.sleep(PAUSE_S)
            else:
                left = TRIES
    finally:
        await subscription.unsubscribe()
