"""All faults by their names, `what:whom`, and what each of them needs."""

from infra.drill.faults.disks import ON_A_DISK
from infra.drill.faults.fault import Fault
from infra.drill.faults.nats import OF_NATS
from infra.drill.faults.paths import OF_PATHS, OF_THE_STORE
from infra.drill.faults.postgres import OF_POSTGRES
from infra.drill.faults.processes import OF_PROCESSES

FAULTS: dict[str, Fault] = {**OF_PROCESSES, **OF_PATHS, **OF_NATS, **OF_POSTGRES, **ON_A_DISK, **OF_THE_STORE}
NEEDING_A_DISK, NEEDING_A_STORE = frozenset(ON_A_DISK), frozenset(OF_THE_STORE)
