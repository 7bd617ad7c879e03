"""Whom can we write to? What an account is made of becomes the header of a mail."""

import json
from email.headerregistry import Address
from email.message import EmailMessage

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain import account, catalogue, email
from domain.account import EMAIL, NAME, Email, Name, SignUp
from tests.making import NOON

LABEL = "a" * 63
LONGEST = f"{'x' * 64}@{LABEL}.{LABEL}.{'a' * 61}"
TAKEN = [
    *("ann@example.com", "a@b", "a.b+c@e-f.example", "!#$%&'*+/?=^_`{|}~-@e.com", "1@1.2.3.4", LONGEST),
    "a@xn--bcher-kva.example",
]
REFUSED = [
    *("", "@", "a", "a@", "@b", "ü@example.com", "a@bücher.example", "<a@b.com>", "Ann <a@b.com>", '"a b"@e.com'),
    *(".a@e.com", "a.@e.com", "a..b@e.com", "a@.e.com", "a@e.com.", "a@e..com", "a@-e.com", "a@e-.com", "a@e_f.com"),
    *("a@b@e.com", "a b@e.com", "a@e.com ", " a@e.com", "a@e.com\n", "\na@e.com", "a@[1.2.3.4]", "a,b@e.com"),
    *("=?utf-8?q?x?=@e.com", f"{'x' * 65}@e.com", f"a@{LABEL}a.com", f"{LONGEST}a", "a\0@e.com", "(a)b@e.com"),
]
STORED = [("ü@example.com", " "), ("<a@b.com>", "=?utf-8?q?a=0Ab?=")]


def takes(kind: object, text: str) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize("address", TAKEN)
def test_an_address_is_taken(address: str) -> None:
    assert takes(Email, address)
    assert Address(addr_spec=address).addr_spec == address


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_no_address_of_ours_is_refused(address: str) -> None:
    assert not takes(Email, address)


@pytest.mark.parametrize("name", ["", " ", "\u3000\u00a0 ", "a\nb", "a\u2028", "a\x7f", "=?utf-8?q?a=0Ab?=", "x" * 201])
def test_what_is_no_name_is_refused(name: str) -> None:
    assert not takes(Name, name)


addresses = (st.emails() | st.from_regex(EMAIL)).filter(lambda text: takes(Email, text))
names = (st.text(min_size=1, max_size=200) | st.from_regex(NAME)).filter(lambda text: takes(Name, text))


@given(addresses, names)
@example("?=@e.com", "?=")
@example("a@b", '"a", b <c@d>; (')
@example(LONGEST, "x" * 200)
@settings(max_examples=200, deadline=None)
def test_to_whomever_is_taken_a_mail_can_be_written(address: str, name: str) -> None:
    message = EmailMessage()
    message["To"] = str(Address(display_name=name, addr_spec=address))
    message["Subject"] = email.welcome(name).subject
    assert message["To"].addresses[0].addr_spec == address
    message.as_bytes()


@pytest.mark.parametrize(("address", "name"), STORED)
def test_what_was_taken_before_is_still_read(address: str, name: str) -> None:
    personal = {"email": address, "name": name}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(personal, SignUp)
    event = catalogue.load("account.registered", 1, "{}", json.dumps(personal))
    assert msgspec.to_builtins(event) == personal


def test_an_account_is_registered_once() -> None:
    known = account.fold([(account.Registered(email="a@b.org", name="Ada"), NOON)])
    assert account.register(known, "a@b.org", "Ada") == []
