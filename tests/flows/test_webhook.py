"""The webhook tool against real sockets: signed, stable, never led astray."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from adapters.tools.webhook import Failed, Notice, Refused, webhook
from adapters.workers.warehouse_notify import warehouse_notify
from domain import order, warehouse
from domain.item import Created as ItemCreated
from domain.item import Details, Item, fold
from domain.job import Job
from domain.order import Order, WantedLine
from domain.outcome import Done
from domain.outcome import Refused as RefusedOutcome
from infra.clock import new_id
from infra.embedded.servers import Servers
from tests.making import NOON

SECRET = "whsec_" + "c2VjcmV0" * 4
BODY = b'{"type":"order.confirmed"}'


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers every request with these bytes; what it heard is kept."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"}"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", heard


def told(status: int, more: str = "") -> bytes:
    return f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{more}\r\n".encode()


async def test_a_notice_is_signed_as_standard_webhooks_verifies_it() -> None:
    async with answering(told(204)) as (url, heard):
        assert await webhook(SECRET, private=True)(Notice(url, "task-1", BODY)) == 204
    head, _, body = heard[0].partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
    raw = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert headers["webhook-id"] == "task-1" and body == BODY
    Webhook(SECRET).verify(body, raw)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", raw)


@pytest.mark.parametrize("status", [301, 307, 400, 404, 429, 500, 503])
async def test_what_is_not_taken_is_worth_another_try(status: int) -> None:
    async with answering(told(status, "location: http://127.0.0.1:1/\r\n")) as (url, heard):
        with pytest.raises(Failed, match=f"answered {status}"):
            await webhook(SECRET, private=True)(Notice(url, "task-1", BODY))
    assert len(heard) == 1, "a redirect is not followed"


async def test_who_is_gone_is_not_asked_again() -> None:
    async with answering(told(410)) as (url, _):
        with pytest.raises(Refused, match="410"):
            await webhook(SECRET, private=True)(Notice(url, "task-1", BODY))


@pytest.mark.parametrize("host", ["localhost.localdomain", "127.0.0.1.nip.io", "ip6-localhost"])
async def test_a_name_that_leads_into_a_private_network_is_refused_when_it_is_resolved(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object, **__: object) -> object:
        return [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("127.0.0.1", 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(Refused, match="private network"):
        await webhook(SECRET, private=False)(Notice(f"https://{host}.example/", "task-1", BODY))


async def test_without_a_secret_nothing_is_sent() -> None:
    with pytest.raises(Refused, match="webhook_secret is empty"):
        await webhook("", private=True)(Notice("http://127.0.0.1:1/", "task-1", BODY))


async def test_an_answer_without_end_is_not_waited_for() -> None:
    async with answering(b"HTTP/1.1 200 X\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 200_000) as (url, _):
        assert await webhook(SECRET, private=True)(Notice(url, "task-1", BODY)) == 200


def confirmed() -> Order:
    chair = new_id()
    sold: Item = fold([(ItemCreated(details=Details(name="C", description="", price_cents=1, currency="EUR")), NOON)])
    wanted = order.Wanted(account=new_id(), lines=[WantedLine(item=chair, quantity=1)])
    [created] = order.create(Order(), wanted, {chair: sold})
    return order.fold([(created, NOON), (order.Confirmed(), NOON)])


async def test_the_embedded_receiver_keeps_what_is_signed_and_refuses_what_is_not(servers: Servers) -> None:
    home = servers.home
    job = Job(new_id(), 1, report=lambda *_: None)
    found = confirmed()

    async def read(_: object) -> Order:
        return found

    good = webhook(home.secrets["webhook"]["warehouse"], private=True)
    before = set(home.notices.glob("*.json"))
    for _ in range(2):
        outcome = await warehouse_notify(read, good, home.warehouse)(warehouse.Request(order=new_id()), job)
        assert isinstance(outcome, Done) and outcome.result.webhook_id == f"task-{job.id}"
    kept = [msgspec.json.decode(path.read_bytes()) for path in set(home.notices.glob("*.json")) - before]
    assert [one["webhook_id"] for one in kept] == [f"task-{job.id}"] * 2, "a repeat is recognisable"
    assert kept[0]["body"]["type"] == "order.confirmed"
    with pytest.raises(Failed, match="401"):
        await warehouse_notify(read, webhook(SECRET, private=True), home.warehouse)(
            warehouse.Request(order=new_id()), job
        )
    assert len(set(home.notices.glob("*.json")) - before) == 2


async def test_an_order_that_is_not_confirmed_is_not_told_of(tmp_path: Path) -> None:
    async def read(_: object) -> Order:
        return Order()

    work = warehouse_notify(read, webhook(SECRET, private=True), "http://127.0.0.1:1/")
    outcome = await work(warehouse.Request(order=new_id()), Job(new_id(), 1, report=lambda *_: None))
    assert isinstance(outcome, RefusedOutcome) and outcome.error.type == "no_order"
