"""The notices that the embedded webhook sink has taken, each after its signature was found good."""

import asyncio
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from litestar import Response

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.cursor import opened, sealed
from adapters.http.described import Reply, described
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.page import Limit, Text, limited, page
from domain.access import Right

NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]+")  # of the file without .json: it sorts by time


class Notice(msgspec.Struct, kw_only=True):
    webhook_id: str
    webhook_timestamp: str
    webhook_signature: str
    received_at: datetime
    path: str
    body: Any


class NoticePage(msgspec.Struct):
    items: list[Notice]
    next: str | None


TOLD = Notice(
    webhook_id=f"task-{examples.TASK_ID}",
    webhook_timestamp="1896091200",
    webhook_signature="v1,0w0GbWeXu9PCXcDExUpwkE5Nl2WRvS0zzwNKn/7i5oU=",
    received_at=examples.AT,
    path="/warehouse",
    body={"type": "order.confirmed", "timestamp": examples.AT, "data": {"order": examples.ORDER_ID, "lines": []}},
)
LIST = described("list_notices", "Mail", {200: Reply(NoticePage, NoticePage([TOLD], examples.CURSOR), may=["Link"])})


@get("/v1/notices", opt=needs(Right.READ_MAIL) | LIST)
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
