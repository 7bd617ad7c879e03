"""What the doctor looks at beside the two servers: this machine, the mail server, the API."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import ProxyHandler, build_opener

import aiosmtplib

from adapters.tools.sandbox import Broken, Limits, Unsafe, has_landlock, run
from infra.doctor.finding import Finding, failed, ok, warning
from infra.settings import mask

PATIENCE_S = 5.0
LEAST_BYTES, LITTLE_BYTES = 2**30, 5 * 2**30
OLDEST_PYTHON = (3, 11)


def python() -> Finding:
    found = f"This is Python {sys.version.split()[0]}."
    if sys.version_info < OLDEST_PYTHON:
        return failed("python", found, "Use Python 3.11 or newer.")
    return ok("python", found)


async def sandbox() -> Finding:
    """Whether those who work on files of strangers can be confined here."""
    try:
        await run(("/bin/true",), limits=Limits(wall_s=10, cpu_s=5))
    except Unsafe as error:
        found = f"Programs cannot be confined on this machine: {str(error).rstrip('.')}."
        return failed("sandbox", found, "Workers of the queue media do nothing here: let them run on another one.")
    except Broken as error:
        return failed("sandbox", f"A confined program ends badly: {error}", "Look into the worker's log.")
    if not has_landlock():
        found = (
            "This kernel has no Landlock: whoever works on a foreign file has no sockets, but could read other files."
        )
        return warning("sandbox", found, "Use Linux 5.13 or newer, with Landlock switched on.")
    return ok("sandbox", "Programs that work on foreign files are confined.")


def disk(home: Path) -> Finding:
    free = shutil.disk_usage(home).free
    found = f"{free / 2**30:.1f} GiB are free below {home}."
    advice = "Make room, or move the directory while nothing runs on it: without room Postgres and NATS stop."
    if free >= LITTLE_BYTES:
        return ok("disk", found)
    return (failed if free < LEAST_BYTES else warning)("disk", found, advice)


async def mail(url: str) -> Finding:
    parts = urlsplit(url)
    try:
        async with aiosmtplib.SMTP(
            hostname=parts.hostname,
            port=parts.port,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            use_tls=parts.scheme == "smtps",
            timeout=PATIENCE_S,
        ):
            return ok("mail", f"The mail server at {mask(url)} answers.")
    except (aiosmtplib.SMTPException, OSError) as error:
        words = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        found = f"The mail server at {mask(url)} cannot be used: {words}."
        return failed("mail", found, "See POSTCOMMIT_SMTP; mails wait meanwhile, and are tried again.")


def api(url: str) -> Finding:
    """What /readyz says. A machine that runs no API may still be well, so that nobody answers is a warning."""
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/')}/readyz", timeout=PATIENCE_S) as response:
            told: dict[str, Any] = json.load(response)
    except HTTPError as error:
        with error:
            return failed(
                "api", f"The REST API at {mask(url)} is not ready ({error.code}).", "See what it says in its log."
            )
    except (OSError, ValueError) as error:
        found = f"The REST API at {mask(url)} does not answer: {getattr(error, 'reason', error)}."
        return warning("api", found, "Start `postcommit api`, or set POSTCOMMIT_URL to where it is.")
    if told.get("status") == "ok":
        return ok("api", f"The REST API at {mask(url)} is ready.")
    ill = ", ".join(name for name, state in told.get("checks", {}).items() if state != "ok")
    return warning(
        "api", f"The REST API at {mask(url)} is {told.get('status')}: {ill}.", "See the findings of that name."
    )
