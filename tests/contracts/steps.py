"""Everything that may happen to tasks, as steps that Hypothesis takes: Postgres does it, and a model beside it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from domain.task import Task
from infra.app import QUEUES
from tests.contracts import drafts as draft_of
from tests.contracts import life
from tests.contracts.doors import KINDS, LEASE_S, SILENT_S, Doors
from tests.contracts.drafts import Draft
from tests.contracts.life import MOST_LOST, Lives
from tests.contracts.seen import Seen, causes, look, wrong

Run = Callable[[Awaitable[Any]], Any]
Grip = tuple[UUID, int]
PROBE = "probe"
EVERY = tuple(KINDS)
kinds = st.sampled_from([PROBE, PROBE, "email_welcome"])
keys = st.sampled_from([None, None, None, "a", "b"])
dues = st.sampled_from([None, None, None, -5.0, 30.0, 600.0])
outcomes = st.sampled_from(["done", "done", "stumbled", "stumbled", "refused", "stopped"])
mostly_done = st.sampled_from(["done", "done", "done", "refused", "stumbled"])
groups = st.lists(mostly_done, min_size=2, max_size=2)
regrets = st.sampled_from(["never", "never", "before", "after"])
crowds = st.lists(st.sampled_from([None, "a", "new", "new"]), min_size=2, max_size=9)
moves = st.sampled_from(["done", "stumbled", "refused", "stopped", "report", "cancel", "rescue", "retry"])
leases = st.sampled_from([LEASE_S, LEASE_S, SILENT_S])
shares = st.sampled_from([0.0, 3.0, 10.0, 40.0, 100.0])
limits = st.sampled_from([1, 3, 100])


class LivesOfTasks(RuleBasedStateMachine):
    tasks = Bundle("tasks")
    orders = Bundle("orders")
    grips = Bundle("grips")  # a task and the turn under which somebody holds it, or did
    drafts = Bundle("drafts")

    def __init__(self, doors: Doors, run: Run) -> None:
        super().__init__()
        self.doors, self.run = doors, run
        self.lives = Lives()
        self.known: dict[Grip, Task] = {}  # what each holder knows of its task
        self.killed = False
        self.at_the_end: list[Callable[[], None]] = []
        run(doors.clean())
        self.seen: Seen = run(look(doors.owner, doors.queries))

    @invariant()
    def postgres_holds_what_the_model_says(self) -> None:
        before, self.seen = self.seen, self.run(look(self.doors.owner, self.doors.queries))
        assert wrong(self.seen, self.lives) == []
        for id, row in before.rows.items():
            assert self.seen.rows[id].task.turn >= row.task.turn, "A turn only rises."

    def written(self, draft: Draft) -> bool:
        told, expected = self.run(draft.write()), draft.live(self.lives)
        assert told == expected, f"{draft}: {told}, expected {expected}"
        return bool(told == "written")

    def row(self, id: UUID) -> Task:
        return self.seen.rows[id].task

    # Accepting.

    @initialize(target=tasks, count=st.integers(1, 3))
    def begin(self, count: int) -> Any:
        made = [draft_of.submission(self.doors, PROBE, None, (), None) for _ in range(count)]
        assert all(map(self.written, made))
        return multiple(*(id for draft in made for id in draft.makes))

    @initialize(target=grips, lease_s=leases)
    def begin_to_work(self, lease_s: float) -> Any:
        return self.poll(lease_s)

    @initialize(target=tasks, ends=groups, turned=st.booleans(), due_s=dues, released=st.booleans(), regretted=regrets)
    def begin_with_a_group(self, **how: Any) -> Any:
        return self.group(**how)

    @rule(target=tasks, kind=kinds, due_s=dues, needs=st.lists(tasks, max_size=2, unique=True), key=keys)
    def submit(self, kind: str, due_s: float | None, needs: list[UUID], key: str | None) -> Any:
        draft = draft_of.submission(self.doors, kind, due_s, tuple(needs), key)
        return multiple(*draft.makes) if self.written(draft) else multiple()

    @rule(target=drafts, due_s=dues, needs=st.lists(tasks, max_size=2, unique=True), key=keys)
    def submit_later(self, due_s: float | None, needs: list[UUID], key: str | None) -> Draft:
        return draft_of.submission(self.doors, PROBE, due_s, tuple(needs), key)

    @initialize(given=crowds)
    def crowd_at_the_end(self, given: list[str | None]) -> None:
        """As for races: of those under one key, one is written, and which is chance."""
        self.at_the_end.append(lambda: self._crowd(given))

    def _crowd(self, given: list[str | None]) -> None:
        new = str(self.doors.new_id())
        named = [new if key == "new" else key for key in given]
        crowd = [draft_of.submission(self.doors, PROBE, None, (), key) for key in named]
        told = self.run(_together(crowd))
        order = sorted(range(len(crowd)), key=lambda number: told[number] != "written")
        assert told == {number: crowd[number].live(self.lives) for number in order}

    @rule(target=tasks, key=keys)
    def sign_up(self, key: str | None) -> Any:
        """A worker that does not know this kind of task leaves it alone."""
        draft = draft_of.sign_up(self.doors, key)
        if not self.written(draft):
            return multiple()
        self.claim(draft.makes[0], [], 1, False, LEASE_S)
        return multiple(*draft.makes)

    @rule(target=orders)
    def order(self) -> UUID:
        id, draft = draft_of.order_of(self.doors)
        assert self.written(draft)
        return id

    @rule(target=drafts, id=orders, key=keys, now=st.booleans())
    def confirm(self, id: UUID, key: str | None, now: bool) -> Draft:
        return self._now_or_later(draft_of.confirmation(self.doors, id, key), now)

    @rule(target=tasks, draft=drafts)
    def write(self, draft: Draft) -> Any:
        """It may have been written before: then it comes a second time."""
        return multiple(*draft.makes) if self.written(draft) else multiple()

    @rule(target=tasks, due_s=dues, needs=st.lists(tasks, max_size=2, unique=True), commits=st.booleans())
    def commit_late(self, due_s: float | None, needs: list[UUID], commits: bool) -> Any:
        """Others come after it, and are numbered before it commits, if it does."""
        late = draft_of.submission(self.doors, PROBE, due_s, tuple(needs), None)
        assert late.entry is not None
        self.run(self.doors.begin_late(late.entry))
        other = draft_of.submission(self.doors, PROBE, None, (), None)
        assert self.written(other)
        for _ in range(3):
            self.postgres_holds_what_the_model_says()
            self.follow(100, False, False)
        self.run(self.doors.end_late(commits))
        if commits:
            assert late.live(self.lives) == "written"
        self.postgres_holds_what_the_model_says()
        self.follow(100, False, False)
        return multiple(*other.makes, *(late.makes if commits else ()))

    # Holding.

    @rule(
        target=grips,
        id=tasks,
        others=st.lists(tasks, max_size=3),
        workers=st.integers(1, 3),
        all_kinds=st.booleans(),
        lease_s=leases,
    )
    def claim(self, id: UUID, others: list[UUID], workers: int, all_kinds: bool, lease_s: float) -> Any:
        """Several workers at once hear the same bells, some of them twice."""
        ids = [id, *others]
        names = [f"w{number}" for number in range(workers)]
        known = EVERY if all_kinds else (PROBE,)
        calls = [self.doors.claim(ids, name, known, lease_s) for name in names]
        free = {id for id in ids if self.lives.tasks[id].status == "queued" and self.lives.tasks[id].kind in known}
        told = self.run(_all(calls))
        held = [(one, name) for name, holds in zip(names, told, strict=True) for one in holds]
        held.sort(key=lambda pair: ids.index(pair[0].id))  # who took what is chance, on which no step may depend
        assert sorted(one.id for one, _ in held) == sorted(free), "What is queued is taken once."
        for one, name in held:
            self.lives.tasks[one.id] = life.start(self.lives.tasks[one.id], silent=lease_s < 0)
            assert (one.task.turn, one.task.worker) == (self.lives.tasks[one.id].turn, name)
            self.known[one.id, one.task.turn] = one.task
        return multiple(*((one.id, one.task.turn) for one, _ in held))

    @rule(target=grips, lease_s=leases)
    def poll(self, lease_s: float) -> Any:
        """A worker without news of NATS looks into the table."""
        found = self.run(self.doors.tasks.queued(QUEUES, EVERY, 100))
        free = [id for id, one in self.lives.tasks.items() if one.status == "queued"]
        assert sorted(found) == sorted(free)
        return self.claim(free[0], free[1:], 1, True, lease_s) if free else multiple()

    @rule(grip=grips, others=st.lists(grips, max_size=2), done=st.none() | shares)
    def beat(self, grip: Grip, others: list[Grip], done: float | None) -> None:
        """The lifeline has found a lease at its end, and writes after the beat."""
        late = draft_of.rescue(self.doors, grip[0], self.row(grip[0]))
        held = list(dict.fromkeys([grip, *others]))
        progress = None if done is None else {"done": done, "total": draft_of.TOTAL}
        still = self.run(self.doors.tasks.extend([(id, turn, progress) for id, turn in held], LEASE_S))
        lives = self.lives.tasks
        assert still == {id: lives[id].cancelling for id, turn in held if life.held(lives[id], turn)}
        for id, turn in held:
            lives[id] = life.beat(lives[id], turn, done)
        if late is not None:
            self.written(late)

    @rule(target=drafts, grip=grips, done=shares, now=st.booleans())
    def report(self, grip: Grip, done: float, now: bool) -> Any:
        draft = self._draft(grip, "report", done)
        return self._now_or_later(draft, now) if draft else multiple()

    @rule(target=drafts, grip=grips, how=outcomes)
    def finish_later(self, grip: Grip, how: str) -> Any:
        return self._draft(grip, how) or multiple()

    @rule(grip=grips, how=outcomes, regretted=regrets)
    def finish(self, grip: Grip, how: str, regretted: str) -> None:
        """As a worker does: what is refused is decided anew by the row. A zombie then finds nothing to say."""
        id, turn = grip
        if regretted == "before":  # the worker has not heard of it yet
            self.postgres_holds_what_the_model_says()
            self.cancel(id, None, True)
        draft = self._draft(grip, how)
        if draft is not None and not self.written(draft):
            state = self.run(self.doors.tasks.get([id]))[id]
            again = draft_of.ending(self.doors, id, state, turn, how)
            assert again is None or self.written(again), "What the row itself allows is written."
        if regretted == "after":
            self.postgres_holds_what_the_model_says()
            self.cancel(id, None, True)

    @rule(grip=grips, one=moves, other=moves, again=st.booleans())
    def race_at_the_end(self, grip: Grip, one: str, other: str, again: bool) -> None:
        """Who wins is chance, on which no later step may depend: races are run when there is none."""
        self.at_the_end.append(lambda: self._race(grip, one, None if again else other))

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:  # else a step has failed, and that is to be told
            for step in self.at_the_end:
                step()
                self.postgres_holds_what_the_model_says()

    def _race(self, grip: Grip, one: str, other: str | None) -> None:
        """Two of them at the same moment, or one of them twice: as if one had come after the other."""
        first = self._draft(grip, one)
        second = self._draft(grip, other) if other else first
        if first is None or second is None:
            return
        told = self.run(_together([first, second]))
        self.seen = self.run(look(self.doors.owner, self.doors.queries))
        after = [self._after(pair) for pair in ([(0, first), (1, second)], [(1, second), (0, first)])]
        fitting = [lives for expected, lives in after if expected == told and not wrong(self.seen, lives)]
        assert fitting, f"{told} of {first} and {second}, expected one of {[expected for expected, _ in after]}"
        self.lives = fitting[0]

    def _after(self, pair: Sequence[tuple[int, Draft]]) -> tuple[dict[int, str], Lives]:
        lives = self.lives.copy()
        return {number: draft.live(lives) for number, draft in pair}, lives

    def _draft(self, grip: Grip, move: str, done: float = 50.0) -> Draft | None:
        (id, turn), known = grip, self.known[grip]
        match move:
            case "report":
                found = draft_of.report(self.doors, id, known, done)
                self.known[grip] = found[1] if found else known
                return found[0] if found else None
            case "cancel":
                return draft_of.cancellation(self.doors, id, self.row(id), None)
            case "rescue":
                return draft_of.rescue(self.doors, id, self.row(id))
            case "retry":
                return self._retrial(id, None)
            case how:
                return draft_of.ending(self.doors, id, known, turn, how)

    @rule(target=tasks, ends=groups, turned=st.booleans(), due_s=dues, released=st.booleans(), regretted=regrets)
    def group(self, ends: list[str], turned: bool, due_s: float | None, released: bool, regretted: str) -> Any:
        """Two tasks end one after the other. One needs both, and is released between if it can be, and one that comes
        later needs them, too. What failed is retried, with what needs it."""
        first, second = (draft_of.submission(self.doors, PROBE, None, (), None) for _ in range(2))
        ids = (*first.makes, *second.makes)
        last = draft_of.submission(self.doors, PROBE, due_s, ids, None)
        assert all(map(self.written, (first, second, last)))
        for id, how in zip(reversed(ids) if turned else ids, ends, strict=True):
            self.claim(id, [], 1, True, LEASE_S)
            self.finish((id, 1), how, regretted)
            self.postgres_holds_what_the_model_says()
            self.follow(100, False, released)
        later = draft_of.submission(self.doors, PROBE, due_s, ids, None)
        assert self.written(later)
        made: tuple[UUID, ...] = ()
        for id in [id for id in ids if self.lives.tasks[id].status == "failed"]:
            self.postgres_holds_what_the_model_says()
            made += self.retry(id, None, False).values
        self.follow(100, False, True)
        return multiple(*ids, *last.makes, *later.makes, *made)

    # Losing.

    def expire(self, id: UUID) -> None:
        self.run(self.doors.expire(id))
        self.lives.tasks[id] = life.expire(self.lives.tasks[id])

    @rule(target=drafts, id=tasks, lost=st.booleans(), now=st.booleans())
    def rescue(self, id: UUID, lost: bool, now: bool) -> Any:
        """The lifeline believes that the lease has run out; when it writes, the holder may have been heard again."""
        if lost:
            self.expire(id)
        draft = draft_of.rescue(self.doors, id, self.row(id))
        return self._now_or_later(draft, now) if draft else multiple()

    @rule(seconds=st.sampled_from([0.0, 1.0, 30.0, 600.0]))
    def tick(self, seconds: float) -> None:
        """Time passes; then the lifeline queues what is due and what lost its holder, and rings for it."""
        self.doors.now += timedelta(seconds=seconds)
        before, rung = self.lives.tasks, self.run(self.doors.tick())
        self.lives.tasks = {id: life.rescue(life.dispatch(one, self.doors.now)) for id, one in before.items()}
        moved = [id for id, one in self.lives.tasks.items() if one is not before[id] and one.status == "queued"]
        assert sorted(rung) == sorted(moved), "What is queued is rung for."

    @rule(target=grips, grip=grips, done=shares, how=outcomes)
    def take_over(self, grip: Grip, done: float, how: str) -> Any:
        """Another worker gets the task; whoever held it before wakes up, and goes on as if nothing had happened."""
        late = [self._draft(grip, "report", done), self._draft(grip, how)]
        self.expire(grip[0])
        self.tick(0.0)
        taken = self.claim(grip[0], [], 1, True, SILENT_S)
        self.beat(grip, [], done)
        for draft in late:
            if draft is not None:
                self.written(draft)
        return taken

    @precondition(lambda self: not self.killed)
    @rule(target=tasks, often=st.integers(0, 2))
    def kill_every_holder(self, often: int) -> Any:
        """A task that kills its worker does not loop for ever. It takes long, so it seldom does."""
        if often:
            return multiple()
        self.killed = True
        draft = draft_of.submission(self.doors, PROBE, None, (), None)
        assert self.written(draft)
        for _ in range(MOST_LOST):
            self.claim(draft.makes[0], [], 1, True, SILENT_S)
            self.tick(0.0)
        assert self.lives.tasks[draft.makes[0]].status == "failed"
        return multiple(*draft.makes)

    # Changing from outside.

    @rule(target=drafts, id=tasks, key=keys, now=st.booleans())
    def cancel(self, id: UUID, key: str | None, now: bool) -> Any:
        draft = draft_of.cancellation(self.doors, id, self.row(id), key)
        nothing = life.cancel(self.lives.tasks[id]) is self.lives.tasks[id]
        assert (draft is None) == nothing
        return self._now_or_later(draft, now) if draft else multiple()

    @rule(target=tasks, id=tasks, key=keys, given_up=st.booleans())
    def retry(self, id: UUID, key: str | None, given_up: bool) -> Any:
        """Of a task that somebody may have given up a moment ago; a second time, nothing is left to retry."""
        if given_up:
            self.cancel(id, None, True)
            self.postgres_holds_what_the_model_says()
        draft = self._retrial(id, key)
        if draft is None or not self.written(draft):
            return multiple()
        self.postgres_holds_what_the_model_says()
        assert self._retrial(id, None) is None
        return multiple(*draft.makes)

    def _retrial(self, id: UUID, key: str | None) -> Draft | None:
        draft, renewed = self.run(draft_of.retrial(self.doors, id, key))
        assert sorted(renewed) == sorted(life.to_retry(self.lives, id, causes(self.seen)))
        return draft  # type: ignore[no-any-return]

    def _now_or_later(self, draft: Draft, now: bool) -> Draft:
        """Either way it can be written again."""
        if now:
            self.written(draft)
        return draft

    # What follows.

    @rule(limit=limits, another=st.booleans(), whole=st.booleans())
    def follow(self, limit: int, another: bool, whole: bool) -> None:
        """Some facts are numbered, or all of them, and what waits is released; perhaps by another relay than before."""
        if another:
            self.run(self.doors.elect())
        if not whole:
            moved = self.run(self.doors.sequence(limit))
            assert moved == min(limit, self.seen.outbox), "The next facts are numbered, however late they came."
            return
        self.run(self.doors.settle_down(limit))
        life.release_all(self.lives, self.doors.now)
        self.postgres_holds_what_the_model_says()
        assert self.seen.outbox == 0, "Nothing is left over."


async def _together(drafts: Sequence[Draft]) -> dict[int, str]:
    return dict(enumerate(await _all([draft.write() for draft in drafts])))


async def _all(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    return list(await asyncio.gather(*calls))
