"""Keeps what a consumer's filter lets through in SQLite, each event once: kill it, start it again, run it twice.

NATS_URL=nats://consumer-billing:PASSWORD@127.0.0.1:4222 CONSUMER=billing python nats_py.py billing.sqlite
"""

import asyncio
import os
import sqlite3
import sys

import nats
from nats.aio.msg import Msg

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    epoch TEXT, position INTEGER, id TEXT UNIQUE, type TEXT, subject TEXT, data TEXT,
    PRIMARY KEY (epoch, position)
)
"""


async def main(file: str) -> None:
    store = sqlite3.connect(file)
    store.execute(SCHEMA)
    name = os.environ["CONSUMER"]
    client = await nats.connect(os.environ["NATS_URL"], inbox_prefix=f"_INBOX_{name}", max_reconnect_attempts=-1)
    subscription = await client.jetstream().pull_subscribe_bind(f"consumer-{name}", stream="LOG")
    while True:
        try:
            messages = await subscription.fetch(100, timeout=1)
        except TimeoutError:  # nothing new; not always one of nats.errors
            continue
        except nats.errors.Error as error:  # the stream is being made anew, or NATS is away
            print(f"Again in a second: {error!r}", file=sys.stderr)
            await asyncio.sleep(1)
            continue
        with store:  # one transaction
            for message in messages:
                keep(store, message)
        for message in messages:  # only now: what was not committed comes again
            await message.ack()


def keep(store: sqlite3.Connection, message: Msg) -> None:
    headers = message.headers or {}
    if "ce-id" not in headers:  # no fact of the log
        return
    stub = headers.get("Postcommit-Stub") == "1"  # too large: GET /v1/events?after=<position - 1>&limit=1 tells it
    row = (
        headers["Postcommit-Epoch"],
        message.metadata.sequence.stream,  # the position
        headers["ce-id"],
        headers["ce-type"],
        headers["ce-subject"],
        None if stub else message.data.decode(),
    )
    store.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)", row)  # OR IGNORE: it came before


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
