"""The same as nats_py.py with FastStream, which owns the connection, the signals and the loop.

NATS_URL=nats://consumer-billing:PASSWORD@127.0.0.1:4222 CONSUMER=billing python faststream_consumer.py billing.sqlite
"""

import asyncio
import os
import sqlite3
import sys

import nats
from faststream import AckPolicy, FastStream
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    epoch TEXT, position INTEGER, id TEXT UNIQUE, type TEXT, subject TEXT, data TEXT,
    PRIMARY KEY (epoch, position)
)
"""
NAME = os.environ["CONSUMER"]
store = sqlite3.connect(sys.argv[1])
store.execute(SCHEMA)
broker = NatsBroker(os.environ["NATS_URL"], inbox_prefix=f"_INBOX_{NAME}", max_reconnect_attempts=-1)


@broker.subscriber(
    "events.v1.>",  # the durable has the filter; this subject is not asked for
    stream=JStream("LOG", declare=False),
    durable=f"consumer-{NAME}",  # it is there: postcommit keeps it, and this user may not make one
    pull_sub=PullSub(batch_size=100, timeout=1.0),  # a short timeout: it waits for a full batch
    inbox_prefix=f"_INBOX_{NAME}.".encode(),  # the broker's own is not taken here
    ack_policy=AckPolicy.MANUAL,  # the default would give a message up after one exception
)
async def hear(message: NatsMessage) -> None:
    raw, headers = message.raw_message, message.headers
    if "ce-id" in headers:
        stub = headers.get("Postcommit-Stub") == "1"  # too large: GET /v1/events?after=<position - 1>&limit=1 tells it
        row = (
            headers["Postcommit-Epoch"],
            raw.metadata.sequence.stream,  # the position
            headers["ce-id"],
            headers["ce-type"],
            headers["ce-subject"],
            None if stub else raw.data.decode(),
        )
        with store:
            store.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?)", row)
    await message.ack()  # after the commit; what raises before it comes again


app = FastStream(broker)


@app.on_startup
async def durable_is_there() -> None:
    """Wait for it: while the stream is made anew it is not, and FastStream would try to make one of its own."""
    js = (await broker.connect()).jetstream()
    while True:
        try:
            await js.consumer_info("LOG", f"consumer-{NAME}")
            return
        except nats.errors.Error as error:
            print(f"Again in a second: {error!r}", file=sys.stderr)
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(app.run())
