"""The email that confirms an order: who gets it, and what it says."""

from html import escape
from uuid import UUID

from domain import email
from domain.email import Letter
from domain.kind import Backoff, Kind
from domain.order import Order
from domain.record import Record


class Request(Record, frozen=True):
    """`order` is the id of a confirmed order; the address of its account is read when the mail is sent."""

    order: UUID


KIND = Kind(
    name="email_order_confirmation",
    request=Request,
    result=email.Result,
    queue="email",
    max_attempts=12,
    deadline_s=60.0,
    backoff=Backoff(first_s=2.0, longest_s=600.0),
)


def letter(id: UUID, order: Order) -> Letter:
    """What the buyer is told. A name of an item is one line already."""
    lines = [f"{line.quantity} x {line.name}, {_money(line.price_cents, order.currency)} each" for line in order.lines]
    total = _money(order.total_cents, order.currency)
    rows = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return Letter(
        subject=f"Your order {id}",
        text="\n".join([f"Your order {id} is confirmed:", "", *lines, "", f"In all: {total}", ""]),
        html=f"<p>Your order {id} is confirmed:</p><ul>{rows}</ul><p>In all: {total}</p>",
    )


def _money(cents: int, currency: str) -> str:
    return f"{cents // 100}.{cents % 100:02} {currency}"
