"""Where a request comes from, and what it belongs to: its id, its trace, its address."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from litestar import Request
from uuid_utils import uuid4

from adapters.http.service import Service
from domain.access import Key
from domain.log import Meta

Network = IPv4Network | IPv6Network
SAFE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
REQUEST_ID = "postcommit.request_id"
HEADERS = "postcommit.headers"  # by name, in the scope, once somebody asked for one
TRACED = "postcommit.traceparent"  # in the scope's state: of the span of this request, where there is one


def request_id(scope: Any) -> str:
    """The caller's X-Request-ID where it is 1 to 128 safe characters, else one of our own."""
    state: dict[str, str] = scope.setdefault("state", {})
    if REQUEST_ID not in state:
        state[REQUEST_ID] = _safe(header(scope, b"x-request-id")) or str(uuid4())
    return state[REQUEST_ID]


def meta(request: Request[Key, Any, Any], service: Service) -> Meta:
    """Who asks, from where, and what it belongs to: it stands beside every event that the request causes."""
    id = request_id(request.scope)
    return Meta(
        actor=request.user.name,
        address=address(request.scope, service.trusted),
        request_id=id,
        correlation_id=_safe(header(request.scope, b"x-correlation-id")) or id,
        traceparent=request.scope["state"].get(TRACED) or traceparent_of(request.scope),
    )


def traceparent_of(scope: Any) -> str | None:
    """The trace that the caller tells of, if it is one (W3C Trace Context)."""
    told = header(scope, b"traceparent")
    return told if told and TRACEPARENT.fullmatch(told) else None


def address(scope: Any, trusted: Sequence[Network]) -> str | None:
    """The client's address: the rightmost in X-Forwarded-For that is no trusted proxy, if a trusted proxy calls."""
    client = scope.get("client")
    nearest = client[0] if client else None
    if not trusted or not _within(nearest, trusted):
        return nearest
    forwarded = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")
    for hop in (part.strip() for part in reversed(forwarded.split(",")) if part.strip()):
        if not _is_address(hop):
            break
        nearest = hop
        if not _within(hop, trusted):
            break
    return nearest


def _within(text: str | None, networks: Sequence[Network]) -> bool:
    return text is not None and _is_address(text) and any(ip_address(text) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _safe(text: str | None) -> str | None:
    return text if text and SAFE.fullmatch(text) else None


def header(scope: Any, name: bytes) -> str | None:
    """The first header of that name, which is in lower case."""
    found = headers(scope, name)
    return found[0] if found else None


def headers(scope: Any, name: bytes) -> list[str]:
    """All of them, in their order; Litestar's own way makes an object for every question."""
    known: dict[bytes, list[str]] | None = scope.get(HEADERS)
    if known is None:
        scope[HEADERS] = known = {}
        for key, value in scope["headers"]:
            known.setdefault(key, []).append(str(value, "latin-1"))
    return known.get(name, [])
