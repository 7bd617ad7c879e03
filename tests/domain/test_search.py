"""Is what can be found what the facts tell?"""

from typing import Any
from uuid import UUID

from domain import account, item, search, task, video
from domain.file import File
from domain.log import Fact, Meta, Recorded, stream_of
from infra.clock import new_id
from tests.making import NOON

LAMP, ADA, FILM = UUID(int=1), UUID(int=2), UUID(int=3)
DETAILS = item.Details(name="Lamp", description="of brass", price_cents=1, currency="EUR")
SOURCE = File(sha256="ab" * 32, size_bytes=1)


def told(*facts: tuple[str, UUID, Any], by: str = "client") -> list[Recorded]:
    meta = Meta(actor=by, request_id="r", correlation_id="c")
    return [
        Recorded(position, Fact(new_id(), stream_of(category, id), 1, NOON, event, meta, "events.v1.a.b.c"))
        for position, (category, id, event) in enumerate(facts, 1)
    ]


def test_whatever_begins_can_be_found_by_what_is_said_of_it() -> None:
    found = search.documents(
        told(
            ("account", ADA, account.Registered(email="ada@example.org", name="Ada")),
            ("item", LAMP, item.Created(details=DETAILS)),
            ("video", FILM, video.Created(source=SOURCE, filename="summer.mp4")),
            ("task", UUID(int=4), task.Started(worker="w", turn=1, attempt=1)),
        )
    )
    assert set(found) == {("account", ADA), ("item", LAMP), ("video", FILM)}
    assert {one.owner for one in found.values() if one is not None} == {"client"}
    titles = {name: one.title for (name, _), one in found.items() if one is not None}
    assert titles == {"account": "Ada", "item": "Lamp", "video": "summer.mp4"}
    [body] = [one.body for (name, _), one in found.items() if name == "account" and one is not None]
    assert body.split() == ["ada@example.org", "ada", "example", "org"], "also by a part of the address"


def test_a_change_keeps_the_owner_and_an_end_takes_it_away() -> None:
    began = told(("item", LAMP, item.Created(details=DETAILS)))
    torch = item.Details(name="Torch", description="", price_cents=1, currency="EUR")
    changed = told(("item", LAMP, item.Changed(before=DETAILS, after=torch)), by="somebody else")
    name = ("item", LAMP)
    whole = search.documents([*began, *changed])[name]
    assert whole is not None and (whole.title, whole.owner) == ("Torch", "client")
    alone = search.documents(changed)[name]
    assert alone is not None and alone.owner is None, "who made it stands in the index already"
    ended = told(("item", LAMP, item.Deleted(before=torch)))
    assert search.documents([*began, *ended]) == search.documents(ended) == {name: None}
    assert search.documents(told(("video", FILM, video.Deleted()))) == {("video", FILM): None}
