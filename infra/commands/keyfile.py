"""The keys that `postcommit keys import` reads from stdin."""

import json
from collections.abc import Mapping

from domain.access import Scope
from infra.exits import Refused

WANTED = 'a JSON object {"name": "secret"}'


def parse(given: bytes) -> Mapping[str, str]:
    """Secrets by name, which is also the scope. Raises Refused; no secret stands in its message."""
    try:
        found = json.loads(given)
    except ValueError as error:
        what = "it is not JSON" if given.strip() else "it is empty"
        raise Refused(f"The keys on stdin should be {WANTED}, and {what}.") from error
    if not isinstance(found, dict) or not found:
        raise Refused(f"The keys on stdin should be {WANTED}, and they are {_kind(found)}.")
    for name, secret in found.items():
        if name not in set(Scope):
            raise Refused(f"There is no scope {name!r} for a key; there are {', '.join(Scope)}.")
        if not isinstance(secret, str):
            raise Refused(f"The secret of the key {name} should be a text, and it is {_kind(secret)}.")
        if not secret.isascii() or not secret.isprintable() or secret.strip() != secret or not secret:
            raise Refused(
                f"The secret of the key {name} should be printable ASCII, without spaces around it, and not empty."
            )
    return found


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an empty object" if not value else "an object"
