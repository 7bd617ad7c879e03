"""What is an operator told who lets a consumer into a NATS of his own?"""

import re
from collections.abc import Callable

import pytest

from infra.consumers import Place, added, listed, removed
from infra.exits import Conflicting, Misused, NotFound

ORDERS = "events.v1.order.>"


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("nats://api:secret@nats-1:4333", r"nats://consumer-billing:([\w-]{32,})@nats-1:4333"),
        ("nats://nats-1", r"nats://consumer-billing:([\w-]{32,})@nats-1:4222"),
        ("tls://api:secret@[::1]", r"tls://consumer-billing:([\w-]{32,})@\[::1\]:4222"),
    ],
)
async def test_the_address_is_that_of_the_same_server(dsn: Callable[[str], str], server: str, url: str) -> None:
    told, missing = await added(Place(dsn("postcommit"), server, None), "billing", ORDERS)
    found = re.fullmatch(url, told["url"])
    assert found is not None and f'password: "{found[1]}"' in told["accounts"]
    assert missing is None and "secret" not in str(told)


async def test_a_consumer_is_registered_once_and_forgotten_by_its_name(dsn: Callable[[str], str]) -> None:
    place = Place(dsn("postcommit"), "nats://nats-1", None)
    for _ in range(2):
        await added(place, "reports", ORDERS)
    with pytest.raises(Conflicting, match=r"has the filter events\.v1\.order\.>, not events\.v1\.item\.>"):
        await added(place, "reports", "events.v1.item.>")
    with pytest.raises(Misused, match="The filter of a consumer cannot be '>'"):
        await added(place, "reports", ">")
    assert [one["filter"] for one in (await listed(place))[0] if one["name"] == "reports"] == [ORDERS]
    assert "Take CONSUMER_reports and its exports out" in await removed(place, "reports")
    assert "reports" not in [one["name"] for one in (await listed(place))[0]]
    with pytest.raises(NotFound, match="There is no consumer 'nobody'"):
        await removed(place, "nobody")
