"""An SMTP server that delivers to a directory: every mail that it has accepted is a whole file on the disk.

python -m infra.embedded.mail --dir DIR --port PORT
"""

import argparse
import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from infra.embedded import arrivals

HOST = "127.0.0.1"
SIZE_BYTES = 32 * 1024**2
NOWHERE = ".invalid"  # a domain that never exists (RFC 6761)


@dataclass(frozen=True)  # no slots: aiosmtpd inspects the members, and CPython 3.11.2 fails at a leftover __weakref__
class Sink:
    folder: Path

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[str]) -> str:
        """Called by aiosmtpd with each recipient; names it as real servers do, which repeat whom they refuse."""
        if to.lower().endswith(NOWHERE):
            return f"550 5.1.2 <{to}>: Recipient address rejected: Domain not found"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Called by aiosmtpd with a whole message; what it returns is the answer to the client."""
        content = envelope.content
        assert isinstance(content, bytes)  # str only with decode_data, which is off
        try:
            await asyncio.to_thread(store, self.folder, envelope.mail_from or "", envelope.rcpt_tos, content)
        except OSError as error:
            return f"452 The message could not be stored: {error.strerror}"
        return "250 The message is stored"


def store(folder: Path, sender: str, recipients: list[str], content: bytes) -> Path:
    """Write the message so that it survives a power cut, under a name that sorts by time (UTC)."""
    head = f"X-Envelope-From: {sender}\r\nX-Envelope-To: {', '.join(recipients)}\r\n"
    return arrivals.store(folder, "eml", head.encode() + content)


async def serve(folder: Path, port: int) -> None:
    """Take mail for the directory, which exists, until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    sink = Sink(folder)
    server = await loop.create_server(
        lambda: SMTP(sink, hostname="postcommit.invalid", enable_SMTPUTF8=True, data_size_limit=SIZE_BYTES), HOST, port
    )
    await over.wait()
    server.close()  # waiting for idle clients as well would let them decide when it ends


def main() -> None:
    parser = argparse.ArgumentParser(description="Receives mail by SMTP and writes it to a directory.")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    given.dir.mkdir(parents=True, exist_ok=True)
    asyncio.run(serve(given.dir, given.port))


if __name__ == "__main__":
    main()
