"""A webhook receiver that delivers to a directory: every notice whose signature is good is a whole file on the disk.

python -m infra.embedded.notices --dir DIR --port PORT, with the secret in NOTICES_SECRET."""

import argparse
import json
import os
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks.webhooks import WebhookVerificationError

from adapters.tools.webhook import verified
from infra.embedded.arrivals import store

HOST = "127.0.0.1"
MOST_BODY = 1024**2
SLOWEST_S = 30.0
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class Receiver(BaseHTTPRequestHandler):
    """POST anywhere: 204 for a notice that was stored, 401 for a signature that is not good."""

    server_version = "notices"
    timeout = SLOWEST_S

    def __init__(self, folder: Path, secret: str, *rest: object) -> None:
        self.folder, self.secret = folder, secret
        super().__init__(*rest)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """It is there."""
        self._answer(204)

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MOST_BODY:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        try:
            notice = verified(self.secret, self.headers.items(), body)
        except (WebhookVerificationError, ValueError) as error:
            print(f"A notice was refused: {error or type(error).__name__}.", file=sys.stderr, flush=True)
            self._answer(401)
            return
        told = {name.replace("-", "_"): self.headers[name] for name in HEADERS}
        received = {"received_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"), "path": self.path}
        store(self.folder, "json", json.dumps(told | received | {"body": notice}).encode())
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:
        """What is taken stands in the directory."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Receives signed webhooks and writes them to a directory.")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    given.dir.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ThreadingHTTPServer((HOST, given.port), partial(Receiver, given.dir, os.environ["NOTICES_SECRET"])) as server:
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    main()
