"""What the simulation would find: the program broken on purpose, one line at a time.

Each mutation takes one thing back on which the promise rests. Not in this list is what another part makes up for,
because it is meant to: without bells workers poll, without a second try at the end of an attempt the lifeline queues
it again, after a refusal that nobody heeds the mirror's own comparison begins anew. Such a mutation stays green, and
should."""

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Mutation:
    where: str  # module:name or module:class.name
    old: str
    new: str


MUTATIONS = {
    "the turn is no fence": Mutation("infra.roles.runs:Runs._change", "turn=held.task.turn", "turn=None"),
    "a task is started that is not queued": Mutation("domain.task:start", "is not Status.QUEUED", "is Status.UNKNOWN"),
    "a bell is acknowledged before the claim": Mutation(
        "infra.roles.crew:Crew._claim",
        "facts = [",
        "await self._acknowledge([bell for bells in taken.values() for bell in bells])\n    facts = [",
    ),
    "a claim that failed is acknowledged": Mutation(
        "infra.roles.crew:Crew._claim", "await runs.clock.sleep(0.5)\n        return", "held = []"
    ),
    "what lost its holder is left alone": Mutation(
        "infra.roles.lifeline:Lifeline._rescue", "found = await self.tasks.expired(MOST)", "found = []"
    ),
    "what is due is left alone": Mutation(
        "infra.roles.lifeline:Lifeline._dispatch", "found = await self.tasks.due(now, MOST)", "found = []"
    ),
    "the mirror's cursor moves before the acknowledgement": Mutation(
        "domain.mirror:Mirror.step",
        "await self.bus.publish(lines, self.last)",
        "await self.ledger.reached(lines[-1].position)\n        await self.bus.publish(lines, self.last)",
    ),
    "the mirror does not read back": Mutation("domain.mirror:Mirror._foreign", "state.messages == 0", "True"),
    "the mirror does not look for holes": Mutation("domain.mirror:Mirror._lost", "hole := missing(state)", "False"),
    "the mirror never compares": Mutation("infra.roles.relay:_verify", "await mirror.verify()", "pass"),
    "the server is told no expected sequence": Mutation(
        "tests.simulation.bus:Bus.expected", "self.stream.last == last", "True"
    ),
    "a reader's cursor commits before its effect": Mutation(
        "domain.reading:step",
        "await apply(recorded)",
        "await reading.moved(recorded[-1].position); await reading.commit(); await apply(recorded)",
    ),
    "release looks at ends only": Mutation("infra.roles.reader:release_waiting", "if began:", "if False:"),
    "release looks at beginnings only": Mutation("domain.release:_waiting", "while ended and", "while False and"),
    "a release has no fence": Mutation("domain.release:_release", "version=state.version", "version=None"),
    "the lifeline has no fence": Mutation(
        "infra.roles.lifeline:Lifeline._write", "version=state.version", "version=None"
    ),
    "whoever asks leads": Mutation(
        "adapters.postgres.leadership:Leadership.lead",
        'if await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER):',
        "if True:",
    ),
    "numbers below a gap are given up too soon": Mutation(
        "adapters.postgres.leadership:Leadership._settled",
        "number if writers.isdisjoint(await self._writers()) else None",
        "number",
    ),
    "a gap in the numbers is passed at once": Mutation(
        "adapters.postgres.leadership:Leadership._raise_low",
        "while self._low + 1 in",
        "self._low = max(self._beyond, default=self._low)\n    while self._low + 1 in",
    ),
    "a silent worker keeps its tasks for ever": Mutation(
        "adapters.memory:Memory._silent", "row.lease_until < self._now()", "False"
    ),
    "nobody keeps a lease alive": Mutation("infra.roles.runs:Runs.beat_loop", "if not self.held:", "if True:"),
}


@contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """The program with this change, until the block ends."""
    module, _, path = mutation.where.partition(":")
    *classes, name = path.split(".")
    holder: Any = import_module(module)
    for each in classes:
        holder = getattr(holder, each)
    original = getattr(holder, name)
    source = textwrap.dedent(inspect.getsource(original))
    assert mutation.old in source, f"{mutation.where} has no longer the text {mutation.old!r}."
    scope: dict[str, Any] = {}
    exec(source.replace(mutation.old, mutation.new), original.__globals__, scope)
    setattr(holder, name, scope[name])
    try:
        yield
    finally:
        setattr(holder, name, original)
