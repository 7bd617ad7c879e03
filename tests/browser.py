"""A real browser without a window, where one is installed."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def browser(wanted_for: str) -> str:
    """Its program; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"No browser is installed to {wanted_for}: none of {', '.join(BROWSERS)} is there.")
    return found


def command(program: str, folder: Path, url: str, *options: str) -> list[str]:
    """What shows the page; `folder` is for the files of the browser. It finds no host but the page's own."""
    blocked = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    return [program, "--headless", "--no-sandbox", f"--user-data-dir={folder}", blocked, *options, url]


@asynccontextmanager
async def showing(program: str, folder: Path, url: str) -> AsyncIterator[None]:
    """The page is open for as long as the block runs."""
    argv = command(program, folder, url, "--mute-audio", "--autoplay-policy=no-user-gesture-required")
    quiet = asyncio.subprocess.DEVNULL
    showing = await asyncio.create_subprocess_exec(*argv, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        showing.terminate()
        await asyncio.wait_for(showing.wait(), 20)
