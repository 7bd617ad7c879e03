"""A service that speaks S3, for tests: moto's server, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

from infra.clock import new_id

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Its address."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_bucket(address: str) -> str:
    """The name of a new one."""
    name = f"bucket-{new_id()}"
    httpx.put(f"{address}/{name}").raise_for_status()
    return name


def bucket(address: str) -> S3Store:
    """A new one, or a part of it."""
    return S3Store(
        new_bucket(address),
        prefix="some/where",
        endpoint=address,
        region="us-east-1",
        access_key_id="a",
        secret_access_key="b",
        client_options={"allow_http": True},
    )
