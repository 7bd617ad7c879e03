"""Faults of the disk that everything lies on: the power goes, and no room is left."""

import asyncio
from functools import partial
from random import Random

from infra.drill.descent import below
from infra.drill.disk import Disk
from infra.drill.faults.fault import BOTH, Fault
from infra.drill.service import Service, within


async def power_cut(service: Service, lasts_s: float, chance: Random) -> None:
    """What was not synced is lost, and everything that ran: Postgres, NATS, all roles, the far sides."""
    disk, own = _disk(service), below(service.process.pid)
    await asyncio.to_thread(disk.cut_the_power)
    own += below(service.process.pid)
    service.process.kill()
    await service.process.wait()
    await within(partial(disk.killed, frozenset(own)), "all that worked there to end")
    await within(disk.unplugged, "the disk to be unplugged")
    await asyncio.to_thread(disk.plug_in)
    await service.start()


async def disk_full(service: Service, lasts_s: float, chance: Random) -> None:
    """No room for anybody: Postgres, NATS, the store, the far sides."""
    disk = _disk(service)
    try:
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(lasts_s)
    finally:
        disk.free()


def _disk(service: Service) -> Disk:
    assert service.disk is not None, "It is one of those that need a disk."
    return service.disk


ON_A_DISK: dict[str, Fault] = {
    "power-cut:all": Fault(power_cut, touches=BOTH, weight=3),
    "disk-full:all": Fault(disk_full, (2.0, 10.0), BOTH),
}
"""Where the home lies on a disk of its own."""
