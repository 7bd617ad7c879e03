"""Accounts: somebody signs up; the welcome email follows in the same transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from litestar import Response, post
from litestar.params import FromPath

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.body import json_of
from adapters.http.described import Body, Reply, described
from adapters.http.desk import Call, desk
from adapters.http.methods import get
from adapters.http.origin import meta
from adapters.http.page import Limit, Text, limited, page
from adapters.http.problems import invalid
from adapters.http.shape import flaws
from adapters.http.shown import ENCODER, id_of
from adapters.http.things import read, shown, streams, written
from adapters.http.write import claim, write
from domain import account, compose
from domain.access import Right
from domain.account import Account
from domain.log import Answer, Recorded


class AccountShown(msgspec.Struct, kw_only=True):
    id: UUID
    email: str
    name: str
    created_at: datetime
    links: dict[str, str]


class AccountMade(AccountShown, kw_only=True):
    """An account together with what was written for it."""

    tasks: list[UUID]
    events: list[UUID]


ANN = {"email": "ann@example.com", "name": "Ann"}
SHOWN = ANN | {
    "id": examples.ACCOUNT_ID,
    "created_at": examples.AT,
    "links": {"self": f"/v1/accounts/{examples.ACCOUNT_ID}"},
}
MADE = SHOWN | {"tasks": [examples.TASK_ID], "events": [examples.EVENT_ID]}
REGISTER = described(
    "register_account",
    "Accounts",
    {
        201: Reply(
            AccountMade,
            MADE,
            ["Location"],
            links={"see_account": "$response.body#/id", "see_task": "$response.body#/tasks/0"},
        )
    },
    Body(account.SignUp, {"ann": ANN}),
)
SEE = described("see_account", "Accounts", {200: Reply(AccountShown, SHOWN, ["ETag"])}, takes=["If-None-Match"])


class AccountPage(msgspec.Struct):
    items: list[AccountShown]
    next: str | None


LIST = described(
    "list_accounts", "Accounts", {200: Reply(AccountPage, {"items": [SHOWN], "next": examples.CURSOR}, may=["Link"])}
)


@post("/v1/accounts", opt=needs(Right.WRITE) | REGISTER)
async def register(request: Call) -> Response[bytes]:
    """Make an account. The answer names the tasks that follow from it."""
    service, body = desk(request).service, await json_of(request)
    if found := flaws(body, account.SignUp):
        raise invalid(found)
    id, now = service.new_id(), service.now()
    events = account.register(Account(), body["email"], body["name"])
    facts = compose.of_thing(id, 0, events, meta(request, service), now, service.new_id)
    entry = compose.entry(facts, dict(service.kinds), now, service.new_id)
    told = _shown(id, account.fold((event, now) for event in events)) | written(entry)
    return await write(service, entry, Answer(201, ENCODER.encode(told), f"/v1/accounts/{id}"), claim(request, body))


@get("/v1/accounts/{id:str}", opt=needs(Right.READ_ACCOUNTS) | SEE)
async def see(request: Call, id: FromPath[str]) -> Response[bytes]:
    """An account. A client sees those that it has made."""
    known = id_of(id)
    found = _folded(await read(request, "account", known))
    return shown(request, _shown(known, found), found.version)


@get("/v1/accounts", opt=needs(Right.READ_ACCOUNTS) | LIST)
async def list_accounts(request: Call, after: Text = None, limit: Limit = 50) -> Response[bytes]:
    """Accounts, newest first. A client sees those that it has made."""
    found, following = await streams(request, "account.registered", after, limited(limit))
    return page([_shown(_id(recorded), _folded(recorded)) for recorded in found], following, request)


def _folded(recorded: Sequence[Recorded]) -> Account:
    return account.fold((one.fact.event, one.fact.at) for one in recorded if isinstance(one.fact.event, account.Event))


def _id(recorded: Sequence[Recorded]) -> UUID:
    return UUID(recorded[0].fact.stream.removeprefix("account-"))


def _shown(id: UUID, found: Account) -> dict[str, object]:
    return {
        "id": id,
        "email": found.email,
        "name": found.name,
        "created_at": found.created_at,
        "links": {"self": f"/v1/accounts/{id}"},
    }
