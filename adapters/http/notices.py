"""The notices that the embedded webhook sink has taken, each after its signature was found good."""

import asyncio
import re
from pathlib import Path

import msgspec
from litestar import Response

from adapters.http.auth import needs
from adapters.http.cursor import opened, sealed
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.page import Limit, Text, limited, page
from domain.access import Right

NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]+")  # of the file without .json: it sorts by time


@get("/v1/notices", opt=needs(Right.READ_MAIL))
async def list_notices(request: Call, after: Text = None, limit: Limit = 50) -> Response[bytes]:
    """The notices as they were received, newest first: a repeat has the same `webhook_id`."""
    folder, most = desk(request).service.notices, limited(limit)
    assert folder is not None, "Without a webhook sink this route is not there."
    names = await asyncio.to_thread(_newest, folder, opened(request, after), most + 1)
    found = [msgspec.Raw((folder / f"{name}.json").read_bytes()) for name in names[:most]]
    return page(found, sealed(request, names[most - 1]) if len(names) > most else None, request)


def _newest(folder: Path, after: str | None, limit: int) -> list[str]:
    names = sorted((path.stem for path in folder.glob("*.json") if NAME.fullmatch(path.stem)), reverse=True)
    return [name for name in names if after is None or name < after][:limit]
