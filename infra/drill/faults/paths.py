"""Faults of the network: on the way to a server, which leads through a proxy of the drill."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from random import Random

from infra.drill.faults.fault import BOTH, Fault, struck
from infra.drill.proxy import Trouble
from infra.drill.service import PATHS, STORE, Service

EXECUTE = b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00"  # of the unnamed portal: PostgreSQL, message formats
LOSING = {
    "postgres": EXECUTE,  # each commits by itself
    "nats": b"ce-id: ",  # a fact that is published
    "smtp": b"\r\n.\r\n",
    "webhook": b"POST ",
    STORE: b"PUT ",
}
"""Path -> the request whose answer is lost: what it asked for is done, and nobody hears of it."""
TOUCHED = {"smtp": frozenset({"email"}), "webhook": frozenset({"webhook"}), "postgres": BOTH}


async def troubled(
    service: Service, lasts_s: float, chance: Random, *, path: str, trouble: Callable[[Random], Trouble]
) -> None:
    """A path fails as networks do, until somebody has met it."""
    wrong = trouble(chance)

    async def met() -> bool:
        return wrong.met > 0

    async with service.proxies[path].troubled(wrong):
        await asyncio.sleep(lasts_s)
        await struck(met, f"byte on the path to {path}")


async def cut(service: Service, lasts_s: float, chance: Random, *, path: str) -> None:
    """Every connection of a path is reset, once."""

    async def done() -> int:
        return service.proxies[path].cut()

    await struck(done, f"connection to {path}")


def _of(path: str) -> dict[str, Fault]:
    touches = TOUCHED.get(path, frozenset[str]())
    forms: Mapping[str, tuple[Callable[[Random], Trouble], tuple[float, float]]] = {
        "refused": (lambda _: Trouble(refuse=True), (1.0, 15.0)),
        "half-open": (lambda _: Trouble(swallow=True), (2.0, 20.0)),
        "slow": (lambda chance: Trouble(delay_s=chance.uniform(0.02, 0.3)), (3.0, 12.0)),
        "reset-in-answer": (lambda chance: Trouble(reset_after=chance.randrange(4_000)), (1.0, 4.0)),
        "answer-lost": (lambda _: Trouble(lose_answer_to=LOSING[path]), (1.0, 6.0)),
    }
    found = {
        f"{name}:{path}": Fault(
            partial(troubled, path=path, trouble=trouble), lasts_s, touches if _cuts_off(name, path) else frozenset()
        )
        for name, (trouble, lasts_s) in forms.items()
    }
    return found | {f"cut:{path}": Fault(partial(cut, path=path), touches=touches)}


def _cuts_off(name: str, path: str) -> bool:
    """What is only slow comes to its end, but for a heartbeat that comes too late."""
    return name != "slow" or path == "postgres"


OF_PATHS = {name: fault for path in PATHS for name, fault in _of(path).items()}
OF_THE_STORE = _of(STORE)
"""Where files are kept by a service that speaks S3."""
