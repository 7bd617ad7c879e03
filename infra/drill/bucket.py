"""A far store of files that speaks S3: moto's server, as a process of the drill."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import httpx

from infra.drill.proxy import HOST
from infra.embedded.child import tie
from infra.embedded.home import free_port
from infra.exits import Refused

NAME = "drill"
SERVING = "import sys; from moto.server import main; main(['-H', sys.argv[1], '-p', sys.argv[2]])"
START_S = 30.0


def environment(port: int) -> Mapping[str, str]:
    """What tells the program where its store is."""
    keys = {"AWS_ACCESS_KEY_ID": "drill", "AWS_SECRET_ACCESS_KEY": "drill", "AWS_REGION": "us-east-1"}
    where = {"AWS_ENDPOINT_URL": f"http://{HOST}:{port}", "AWS_ALLOW_HTTP": "true"}
    return keys | where | {"POSTCOMMIT_FILES": f"s3://{NAME}/files"}


@asynccontextmanager
async def bucket(log: Path) -> AsyncIterator[int]:
    """Its port, for as long as the block runs.

    Raises Refused where moto is not installed, TimeoutError where it does not start."""
    if find_spec("moto") is None:
        raise Refused("A store that speaks S3 needs moto: pip install 'moto[s3,server]'.")
    port = free_port()
    with log.open("ab") as talk:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SERVING, HOST, str(port)),
            stdout=talk,
            stderr=talk,
            preexec_fn=partial(tie, os.getpid(), signal.SIGKILL),
        )
    try:
        await _made(f"http://{HOST}:{port}/{NAME}")
        yield port
    finally:
        process.kill()
        await process.wait()


async def _made(address: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(START_S):
        while True:
            try:
                (await client.put(address)).raise_for_status()
                return
            except httpx.TransportError:
                await asyncio.sleep(0.1)
