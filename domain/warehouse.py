"""The warehouse hears of a confirmed order by a signed HTTP POST, as Standard Webhooks describes it."""

from ipaddress import ip_address
from urllib.parse import urlsplit
from uuid import UUID

from domain.kind import Backoff, Kind
from domain.order import Order
from domain.record import Record


class Request(Record, frozen=True):
    """`order` is the id of a confirmed order; it says itself where the warehouse is."""

    order: UUID


class Result(Record, frozen=True):
    webhook_id: str  # the same for every attempt of one task
    status: int  # of the far side's answer


KIND = Kind(
    name="warehouse_notify",
    request=Request,
    result=Result,
    queue="webhook",
    max_attempts=12,
    deadline_s=60.0,
    backoff=Backoff(first_s=1.0, longest_s=600.0),
)


def webhook_id(task: UUID) -> str:
    """The `webhook-id` of a task's notice: the same for every attempt, so that a repeat is recognised."""
    return f"task-{task}"


def notice(id: UUID, order: Order) -> dict[str, object]:
    """What the warehouse is told: `type`, `timestamp` and `data`, as Standard Webhooks has them. No personal data."""
    return {
        "type": "order.confirmed",
        "timestamp": order.confirmed_at,
        "data": {
            "order": id,
            "lines": [{"item": line.item, "name": line.name, "quantity": line.quantity} for line in order.lines],
        },
    }


def flaw(url: str, private: bool) -> str | None:
    """What keeps an address from being one to send notices to; None where nothing does.

    `private` allows http and addresses of private networks. A name is looked at again when it is resolved."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "It is no address"
    schemes = ("https", "http") if private else ("https",)
    if parts.scheme not in schemes:
        found = f"Its scheme is {parts.scheme!r}" if parts.scheme else "It has no scheme"
        return f"{found}; allowed is {' or '.join(schemes)}"
    if not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        return "It names no host"
    if parts.username is not None or parts.fragment:
        return "It holds a user, a password or a fragment"
    return None if private or is_public(host) else f"{host} is in a private network"


def is_public(host: str) -> bool:
    """Whether a literal address is one of the public internet; a name is, as long as nobody has resolved it."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.rstrip(".").rpartition(".")[2].lower() not in ("localhost", "local", "internal")
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return (mapped or address).is_global and not address.is_multicast
