"""What somebody has decided, and writes now, later, twice or together with another; and what the model says of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain import account, compose, order, outcome, task
from domain.holding import Change
from domain.log import Answer, Entry, Meta, Once
from domain.outcome import Error, Outcome, Progress
from domain.task import Task
from infra.roles.lifeline import ACTOR
from tests.contracts import life
from tests.contracts.doors import KINDS, Doors
from tests.contracts.life import Life, Lives
from tests.making import META

CHAIN = ("email_order_confirmation", "warehouse_notify", "analytics_record")
TOTAL = 100.0  # units of progress


@dataclass(frozen=True, slots=True)
class Draft:
    """`write` tells how it ended, and so does `live`, which writes into the model."""

    name: str
    write: Callable[[], Awaitable[str]]
    live: Callable[[Lives], str]
    entry: Entry | None = None
    makes: tuple[UUID, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.name}>"


# Accepting.


def submission(doors: Doors, kind: str, due_s: float | None, needs: tuple[UUID, ...], key: str | None) -> Draft:
    id, now, most = doors.new_id(), doors.now, KINDS[kind].max_attempts
    due = None if due_s is None else now + timedelta(seconds=due_s)
    request = compose.asked(KINDS[kind], {}, "client", needs)
    facts, state = compose.new_task(id, request, META, now, doors.new_id, due)
    made = {id: life.asked(kind, most, now, due, needs)}
    return _accepting(doors, f"submit {id}", Entry(facts, ((id, state),)), key, made)


def sign_up(doors: Doors, key: str | None) -> Draft:
    """An account, and the task that it causes."""
    id = doors.new_id()
    facts = compose.of_thing(id, 0, [account.Registered(email="a@b.org", name="A")], META, doors.now, doors.new_id)
    entry = compose.entry(facts, KINDS, doors.now, doors.new_id)
    made = _chained(entry, ("email_welcome",), doors.now)
    return _accepting(doors, f"sign up {id}", entry, key, made, {f"account-{id}": ((), ("registered",))})


def order_of(doors: Doors) -> tuple[UUID, Draft]:
    id = doors.new_id()
    created = order.Created(account=id, lines=(), total_cents=1, currency="EUR")
    facts = compose.of_thing(id, 0, [created], META, doors.now, doors.new_id)
    return id, _accepting(doors, f"order {id}", Entry(facts), None, {}, {f"order-{id}": ((), ("created",))})


def confirmation(doors: Doors, id: UUID, key: str | None) -> Draft:
    """An order that was created and no more; three tasks follow, each after the one before it."""
    facts = compose.of_thing(id, 1, [order.Confirmed()], META, doors.now, doors.new_id)
    entry = compose.entry(facts, KINDS, doors.now, doors.new_id)
    things = {f"order-{id}": (("created",), ("created", "confirmed"))}
    return _accepting(doors, f"confirm {id}", entry, key, _chained(entry, CHAIN, doors.now), things)


def _chained(entry: Entry, kinds: tuple[str, ...], now: datetime) -> dict[UUID, Life]:
    ids = [id for id, _ in entry.tasks]
    needs = [(), *((id,) for id in ids)]
    return {
        id: life.asked(kind, KINDS[kind].max_attempts, now, needs=before)
        for id, kind, before in zip(ids, kinds, needs[:-1], strict=True)
    }


def _accepting(
    doors: Doors,
    name: str,
    entry: Entry,
    key: str | None,
    made: Mapping[UUID, Life],
    things: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {},  # stories before and after
) -> Draft:
    def live(lives: Lives) -> str:
        if made.keys() & lives.tasks.keys() or any(lives.things.get(t, ()) != was for t, (was, _) in things.items()):
            return "conflict"
        lives.tasks |= made
        lives.things |= {stream: told for stream, (_, told) in things.items()}
        return "written"

    return _once(doors, name, entry, key, live, tuple(made))


def _once(
    doors: Doors, name: str, entry: Entry, key: str | None, live: Callable[[Lives], str], makes: tuple[UUID, ...] = ()
) -> Draft:
    """Under an idempotency key, if one is given: it is looked at first, and used up only by what is written."""
    answer = name.encode()
    whole = compose.once(entry, Once("client", "route", key, b"same", Answer(202, answer)) if key else None)

    def once(lives: Lives) -> str:
        if key is not None and key in lives.keys:
            return f"replayed {lives.keys[key].decode()}"
        told = live(lives)
        if key is not None and told == "written":
            lives.keys[key] = answer
        return told

    return Draft(name, lambda: doors.append(whole), once, whole, makes)


# Changing from outside.


def cancellation(doors: Doors, id: UUID, state: Task, key: str | None) -> Draft | None:
    events = task.cancel(state, "ops", "too long")
    return _changing(doors, f"cancel {id}", id, state, events, key, life.cancel) if events else None


def _changing(
    doors: Doors,
    name: str,
    id: UUID,
    state: Task,
    events: list[task.Event],
    key: str | None,
    change: Callable[[Life], Life],
) -> Draft:
    facts, after = compose.of_task(id, state, events, META, doors.now, doors.new_id)

    def live(lives: Lives) -> str:
        if len(lives.tasks[id].story) != state.version:
            return "conflict"
        lives.tasks[id] = change(lives.tasks[id])
        return "written"

    return _once(doors, name, Entry(facts, changed=((id, after),)), key, live)


async def retrial(doors: Doors, id: UUID, key: str | None) -> tuple[Draft | None, list[UUID]]:
    """Also the tasks that are done again."""
    entry, renewed = await doors.retry(id)
    if entry is None:
        return None, []
    versions = {
        old: after.version - sum(f.stream == f"task-{old}" for f in entry.facts) for old, after in entry.changed
    }

    def live(lives: Lives) -> str:
        if any(len(lives.tasks[old].story) != version for old, version in versions.items()):
            return "conflict"
        life.retry(lives, renewed)
        return "written"

    return _once(doors, f"retry {id}", entry, key, live, tuple(renewed[old] for old in sorted(renewed))), list(renewed)


# Holding.


def report(doors: Doors, id: UUID, known: Task, done: float) -> tuple[Draft, Task] | None:
    """Also what the holder knows then; None where the step is too small."""
    turn = known.turn
    events = task.report(known, turn, Progress(done=done, total=TOTAL))
    if not events:
        return None
    change = _change(doors, id, known, events, turn=turn)

    def live(lives: Lives) -> str:
        if life.held(lives.tasks[id], turn) and change.facts[0].id in lives.reports:
            return "taken"
        lives.reports.add(change.facts[0].id)
        return _took(lives, id, life.report(lives.tasks[id], turn, done))

    return Draft(f"report {id} {turn}", lambda: doors.settle(change, "worker/w"), live), change.after


def ending(doors: Doors, id: UUID, known: Task, turn: int, how: str) -> Draft | None:
    """As the holder decides it by what it knows; None where it knows that its turn has passed."""
    kind, shown = KINDS[known.kind], f"e-{doors.new_id()}"
    events = task.finish(known, kind, turn, _outcome(how, shown), doors.now, 0.5)
    if not events:
        return None
    final = isinstance(events[0], task.Completed | task.Cancelled)
    change = _change(doors, id, known, events, turn=turn, uncancelled=not final)
    again = doors.now + kind.backoff.pause(known.stumbles + 1, 0.5)

    def live(lives: Lives) -> str:
        before = lives.tasks[id]
        if before.cancelling and not final:
            return "refused"
        return _took(lives, id, life.end(before, turn, how, shown, again))

    return Draft(f"{how} {id} {turn}", lambda: doors.settle(change, "worker/w"), live)


def _outcome(how: str, shown: str) -> Outcome:
    error = Error(type=shown, detail="d")
    outcomes: dict[str, Outcome] = {
        "done": outcome.Done(result=shown),
        "stumbled": outcome.Stumbled(error=error),
        "refused": outcome.Refused(error=error),
        "stopped": outcome.Stopped(),
    }
    return outcomes[how]


def rescue(doors: Doors, id: UUID, state: Task) -> Draft | None:
    """As the lifeline decides it, which believed the lease to have run out."""
    events = task.rescue(state, state.turn)
    if not events:
        return None
    change = _change(doors, id, state, events, ACTOR, version=state.version, expired=True)

    def live(lives: Lives) -> str:
        before = lives.tasks[id]
        fits = len(before.story) == state.version
        return _took(lives, id, life.rescue(before)) if fits else "refused"

    return Draft(f"rescue {id} {state.turn}", lambda: doors.settle(change, ACTOR), live)


def _change(doors: Doors, id: UUID, known: Task, events: list[task.Event], actor: str = "w", **fences: Any) -> Change:
    facts, after = compose.of_task(id, known, events, Meta(actor=actor), doors.now, doors.new_id)
    return Change(id, after, facts, **fences)


def _took(lives: Lives, id: UUID, after: Life) -> str:
    told = "refused" if after is lives.tasks[id] else "written"
    lives.tasks[id] = after
    return told
