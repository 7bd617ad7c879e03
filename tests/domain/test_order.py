"""Is the thinking about items and orders right?"""

from typing import Any
from uuid import UUID

import pytest

from domain import item, order, reactions, warehouse
from domain.item import Details, Item
from domain.log import Fact, stream_of
from domain.order import Order, WantedLine
from infra.clock import new_id
from tests.making import META, NOON

CHAIR = Details(name="Chair", description="", price_cents=1250, currency="EUR")
LAMP = Details(name="Lamp", description="", price_cents=999, currency="USD")
CHAIR_ID, LAMP_ID, ACCOUNT = (UUID(int=number) for number in range(1, 4))


def on_sale(details: Details) -> Item:
    return item.fold([(item.Created(details=details), NOON)])


def wanted(*lines: tuple[UUID, int]) -> order.Wanted:
    return order.Wanted(account=ACCOUNT, lines=[WantedLine(item=id, quantity=count) for id, count in lines])


def given(*events: order.Event) -> Order:
    return order.fold((event, NOON) for event in events)


def test_an_order_takes_todays_prices() -> None:
    [event] = order.create(Order(), wanted((CHAIR_ID, 2), (CHAIR_ID, 1)), {CHAIR_ID: on_sale(CHAIR)})
    assert isinstance(event, order.Created)
    assert (event.total_cents, event.currency, [line.price_cents for line in event.lines]) == (
        3750,
        "EUR",
        [1250, 1250],
    )


@pytest.mark.parametrize(
    ("items", "line", "words"),
    [
        ({}, 0, "There is no item"),
        (
            {CHAIR_ID: item.fold([(item.Created(details=CHAIR), NOON), (item.Deleted(before=CHAIR), NOON)])},
            0,
            "was deleted",
        ),
        ({CHAIR_ID: on_sale(CHAIR), LAMP_ID: on_sale(LAMP)}, 1, "in USD, and the first line's in EUR"),
    ],
)
def test_what_is_not_on_sale_cannot_be_ordered(items: Any, line: int, words: str) -> None:
    with pytest.raises(order.Unsellable, match=words) as raised:
        order.create(Order(), wanted((CHAIR_ID, 1), (LAMP_ID, 1)), items)
    assert raised.value.line == line


def test_an_order_is_confirmed_once_and_counted_once() -> None:
    [created] = order.create(Order(), wanted((CHAIR_ID, 2)), {CHAIR_ID: on_sale(CHAIR)})
    assert order.confirm(Order()) == [] == order.record(given(created))
    assert order.confirm(given(created)) == [order.Confirmed()]
    assert order.confirm(given(created, order.Confirmed())) == []
    [recorded] = order.record(given(created, order.Confirmed()))
    assert recorded == order.Recorded(total_cents=2500, currency="EUR")
    assert order.record(given(created, order.Confirmed(), recorded)) == []


def test_a_confirmation_sets_three_tasks_off_each_needing_the_one_before() -> None:
    fact = Fact(new_id(), stream_of("order", CHAIR_ID), 2, NOON, order.Confirmed(), META, "events.v1.order.confirmed.x")
    mail, notice, count = reactions.follow(fact)
    assert [one.kind for one in (mail, notice, count)] == [
        "email_order_confirmation",
        "warehouse_notify",
        "analytics_record",
    ]
    assert (mail.needs, notice.needs, count.needs) == ((), (mail.id,), (notice.id,))
    assert {one.request["order"] for one in (mail, notice, count)} == {str(CHAIR_ID)}


def test_a_change_says_what_was_before_and_what_says_nothing_new_changes_nothing() -> None:
    chair = on_sale(CHAIR)
    assert item.change(chair, item.Patch(price_cents=1250)) == []
    [changed] = item.change(chair, item.Patch(price_cents=1300))
    assert isinstance(changed, item.Changed)
    assert (changed.before.price_cents, changed.after.price_cents, changed.after.name) == (1250, 1300, "Chair")


def test_an_item_is_deleted_once_and_not_changed_afterwards() -> None:
    gone = item.fold([(item.Created(details=CHAIR), NOON), (item.Deleted(before=CHAIR), NOON)])
    assert item.delete(gone) == [] == item.change(gone, item.Patch(name="Table"))
    assert item.delete(Item()) == [] == item.change(Item(), item.Patch(name="Table"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/", "scheme"),
        ("ftp://example.com/", "scheme"),
        ("example.com", "scheme"),
        ("https:///x", "names no host"),
        ("https://exa mple.com/", "names no host"),
        ("https://me:secret@example.com/", "a user"),
        ("https://example.com/#x", "fragment"),
        ("https://example.com:0/", "names no host"),
        ("https://example.com:99999/", "no address"),
        ("https://[::1", "no address"),
        ("https://localhost/", "private"),
        ("https://printer.local/", "private"),
        ("https://127.0.0.1/", "private"),
        ("https://10.1.2.3/", "private"),
        ("https://169.254.169.254/latest/meta-data", "private"),
        ("https://100.64.0.1/", "private"),
        ("https://[::1]/", "private"),
        ("https://[fd00::1]/", "private"),
        ("https://[::ffff:10.0.0.1]/", "private"),
        ("https://[2002:0a00:0001::]/", "private"),
        ("https://0.0.0.0/", "private"),
        ("https://224.0.0.1/", "private"),
    ],
)
def test_a_notice_goes_to_the_public_internet_by_https_only(url: str, words: str) -> None:
    assert words in (warehouse.flaw(url, private=False) or "")


@pytest.mark.parametrize(
    "url", ["https://example.com/hook?a=1", "https://93.184.216.34:8443/", "https://[2606:4700::1]/"]
)
def test_a_public_address_is_taken(url: str) -> None:
    assert warehouse.flaw(url, private=False) is None


def test_a_private_address_is_taken_where_the_settings_allow_it() -> None:
    assert warehouse.flaw("http://127.0.0.1:8000/hook", private=True) is None
    assert "scheme" in (warehouse.flaw("ftp://127.0.0.1/", private=True) or "")
