"""The verdict: what was meant, against what the log and the far sides tell. Pure, so that it can be tested itself."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from infra.drill.intents import Answered, Heard, Intent
from infra.drill.stories import Expected, expected

ENDS = ("completed", "failed", "cancelled")
FIRST = ("queued", "scheduled", "waiting")
NEAR = timedelta(seconds=30)  # after a fault, in which what it has cut off is done again


@dataclass(frozen=True, slots=True)
class Line:
    """A fact as the auditor was told it."""

    position: int
    id: str
    stream: str
    name: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault, from its begin to its end, and the paths on which it may repeat an effect."""

    kind: str
    began: datetime
    ended: datetime
    touches: frozenset[str]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a far side has taken: of which task, under which name, when."""

    path: str  # email, webhook
    name: str
    task: str
    at: datetime


@dataclass(slots=True)
class Life:
    """A task as the log tells of it."""

    id: str
    kind: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    began: datetime | None = None
    moved: list[datetime] = field(default_factory=list)  # when its facts were written, in order
    ends: list[Line] = field(default_factory=list)

    @property
    def ended(self) -> datetime | None:
        return _written(self.ends[0].id) if self.ends else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the verdict rests on."""

    intents: Sequence[Intent]
    heard: Mapping[int, Heard]
    lines: Sequence[Line]
    arrivals: Sequence[Arrival]
    struck: Sequence[Struck]
    statuses: Mapping[int, int]  # HTTP status -> answers
    seen_live: Mapping[int, str]  # position -> id, as a reader saw it meanwhile
    things: Mapping[str, str]  # id of an image, a video, a report -> what it is and its status, at the end
    broken: Sequence[str]  # invariants that do not hold
    failed: Sequence[str]  # faults that could not strike


@dataclass(slots=True)
class Verdict:
    """What must not be, with offenders; and figures."""

    wrong: dict[str, list[str]]
    figures: dict[str, Any]

    @property
    def good(self) -> bool:
        return not any(self.wrong.values())


def judge(evidence: Evidence) -> Verdict:
    """Every list of the verdict must be empty."""
    lives = lives_of(evidence.lines)
    wanted = _wanted(evidence)
    known = set(wanted) | _of_unknown(evidence, lives) | set(_caused(evidence, lives))
    explained, unexplained = duplicates(evidence.arrivals, evidence.struck)
    wrong = {
        "lost": [f"{id}: {one.kind}, accepted and not in the log" for id, one in wanted.items() if id not in lives],
        "stuck": [f"{life.id}: {life.kind}" for life in lives.values() if not life.ends],
        "wrong_result": list(_wrong_results(wanted, lives)),
        "thing_incomplete": [f"{id}: {told}" for id, told in evidence.things.items() if not told.endswith(" complete")],
        "second_visible_result": [f"{life.id}: {len(life.ends)} ends" for life in lives.values() if len(life.ends) > 1],
        "phantom_task": [
            f"{life.id}: {life.kind}, nobody asked for it" for id, life in lives.items() if id not in known
        ],
        "phantom_effect": list(_phantoms(evidence.arrivals, lives)),
        "missing_effect": list(_missing(evidence.arrivals, lives)),
        "unknown_taken_twice": list(_twice(evidence, lives)),
        "duplicate_unexplained": unexplained,
        "status_not_allowed": [
            f"{status}: {count} times" for status, count in sorted(evidence.statuses.items()) if not _allowed(status)
        ],
        "refused_wrongly": [
            f"intent {one.number}: {one.story} {evidence.heard[one.number].status}"
            for one in evidence.intents
            if one.story != "poison"
            and one.number in evidence.heard
            and evidence.heard[one.number].answered is Answered.REFUSED
        ],
        "poison_taken": [f"intent {number}" for number in _numbers(evidence, "poison", Answered.OK)],
        "log_told_otherwise": list(_told_otherwise(evidence)),
        "never_answered": [
            f"intent {one.number}: {one.story}" for one in evidence.intents if one.number not in evidence.heard
        ],
        "invariant_broken": list(evidence.broken),
        "fault_failed": list(evidence.failed),
    }
    return Verdict(wrong, _figures(evidence, lives, explained))


def lives_of(lines: Iterable[Line]) -> dict[str, Life]:
    """Every task of the log."""
    found: dict[str, Life] = {}
    for line in lines:
        category, _, id = line.stream.partition("-")
        if category != "task":
            continue
        life = found.setdefault(id, Life(id))
        name = line.name.partition(".")[2]
        life.moved.append(_written(line.id))
        if life.began is None and name in FIRST:
            asked = line.data.get("asked") or {}
            life.began, life.kind, life.request = life.moved[0], asked.get("kind", ""), asked.get("request", {})
        if name in ENDS:
            life.ends.append(line)
    return found


def duplicates(arrivals: Sequence[Arrival], struck: Sequence[Struck]) -> tuple[list[str], list[str]]:
    """What arrived more than once: explained by a fault on its path, and unexplained."""
    times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for arrival in arrivals:
        times[arrival.path, arrival.name].append(arrival.at)
    explained, unexplained = list[str](), list[str]()
    for (path, name), found in times.items():
        found.sort()
        for first, again in pairwise(found):
            near = [one for one in struck if one.began <= again <= one.ended + NEAR and first <= one.ended]
            by = [one.kind for one in near if path in one.touches]
            told = f"{path} {name} at {again:%H:%M:%S}"
            (explained if by else unexplained).append(f"{told}: {', '.join(by[:3])}" if by else told)
    return explained, unexplained


def recoveries(lives: Iterable[Life], struck: Sequence[Struck]) -> list[float]:
    """Of each fault, the seconds from its end until every task that was open at its begin had moved."""
    found = []
    for one in struck:
        after = [
            next((at for at in life.moved if at > one.ended), None)
            for life in lives
            if life.began is not None
            and life.began <= one.began
            and (life.ended is None or life.ended > one.ended)
            and not any(one.began < at <= one.ended for at in life.moved)
        ]
        found.append(max(((at - one.ended).total_seconds() for at in after if at is not None), default=0.0))
    return found


def _written(id: str) -> datetime:
    """When a fact was written: its id says so (UUIDv7, RFC 9562 5.7) also where a worker's clock is moved."""
    return datetime.fromtimestamp((UUID(id).int >> 80) / 1_000, UTC)


def _wanted(evidence: Evidence) -> dict[str, Expected]:
    """What was accepted: tasks, and what is to come of each."""
    found = dict[str, Expected]()
    for intent in evidence.intents:
        heard = evidence.heard.get(intent.number)
        if heard is not None and heard.answered is Answered.OK and intent.story != "poison":
            of_each = expected(intent.story, intent.body)
            assert len(of_each) == len(heard.tasks), f"{intent} was answered with {heard.tasks}."
            found.update(zip(heard.tasks, of_each, strict=True))
    return found


def _of_unknown(evidence: Evidence, lives: Mapping[str, Life]) -> set[str]:
    """Tasks of probes of which nobody heard."""
    numbers = set(_numbers(evidence, "probe", Answered.UNKNOWN))
    return {id for id, life in lives.items() if life.kind == "probe" and _number(life) in numbers}


def _caused(evidence: Evidence, lives: Mapping[str, Life]) -> Iterable[str]:
    """Tasks that follow from a thing which was accepted: each of them once."""
    seen = set()
    for id, life in lives.items():
        request = json.dumps(life.request, sort_keys=True, default=str)
        if (life.kind, request) not in seen and any(str(one) in evidence.things for one in life.request.values()):
            seen.add((life.kind, request))
            yield id


def _twice(evidence: Evidence, lives: Mapping[str, Life]) -> Iterable[str]:
    count = Counter(_number(life) for life in lives.values() if life.kind == "probe")
    for number, times in count.items():
        if times > 1:
            yield f"intent {number}: {times} tasks"


def _number(life: Life) -> int:
    payload = life.request.get("payload")
    return int(payload["drill"]) if isinstance(payload, dict) else 0


def _numbers(evidence: Evidence, story: str, answered: Answered) -> Iterable[int]:
    for intent in evidence.intents:
        heard = evidence.heard.get(intent.number)
        if intent.story == story and (heard.answered if heard else Answered.UNKNOWN) is answered:
            yield intent.number


def _wrong_results(wanted: Mapping[str, Expected], lives: Mapping[str, Life]) -> Iterable[str]:
    for id, one in wanted.items():
        life = lives.get(id)
        if life is None or not life.ends:
            continue
        end = life.ends[0].name.partition(".")[2]
        if life.kind != one.kind or end != one.end:
            yield f"{id}: {life.kind} {end}, expected {one.kind} {one.end}: {life.ends[0].data}"
        elif end == "completed" and not one.result(life.ends[0].data["result"]):
            yield f"{id}: {life.ends[0].data['result']}"


EFFECTS = {"email_welcome": "email", "email_order_confirmation": "email", "warehouse_notify": "webhook"}


def _phantoms(arrivals: Sequence[Arrival], lives: Mapping[str, Life]) -> Iterable[str]:
    for one in arrivals:
        life = lives.get(one.task)
        if life is None or EFFECTS.get(life.kind) != one.path:
            yield f"{one.path} {one.name} of no such task"


def _missing(arrivals: Sequence[Arrival], lives: Mapping[str, Life]) -> Iterable[str]:
    arrived = {(one.path, one.task) for one in arrivals}
    for life in lives.values():
        path = EFFECTS.get(life.kind)
        complete = life.ends and life.ends[0].name.endswith(".completed")
        if path and complete and (path, life.id) not in arrived:
            yield f"{life.id}: {life.kind} is complete, and its {path} never came"


def _allowed(status: int) -> bool:
    return status < 500 or status in (503, 507)


def _told_otherwise(evidence: Evidence) -> Iterable[str]:
    """The log is dense, and whoever read it meanwhile was told the same."""
    told = {line.position: line.id for line in evidence.lines}
    if sorted(told) != list(range(1, len(told) + 1)):
        yield "its positions are not 1, 2, 3, …"
    if sorted(evidence.seen_live) != list(range(1, len(evidence.seen_live) + 1)) or not evidence.seen_live:
        yield "who read it meanwhile was told of a position before the one below it, or of none"
    for position, id in evidence.seen_live.items():
        if told.get(position) != id:
            yield f"position {position} was {id}, and is {told.get(position)}"


def _figures(evidence: Evidence, lives: Mapping[str, Life], explained: Sequence[str]) -> dict[str, Any]:
    took = sorted(recoveries(lives.values(), evidence.struck))
    answered = Counter(heard.answered.value for heard in evidence.heard.values())
    n = len(lives)
    return {
        "intents": len(evidence.intents),
        "answered": dict(answered),
        "tasks": n,
        "tasks_by_kind": dict(Counter(life.kind for life in lives.values())),
        "facts": len(evidence.lines),
        "faults": len(evidence.struck),
        "fault_kinds": len({one.kind for one in evidence.struck}),
        "answers_by_status": dict(sorted(evidence.statuses.items())),
        "duplicates_explained": len(explained),
        "recovery_s": {"p50": _quantile(took, 0.5), "p99": _quantile(took, 0.99), "max": took[-1] if took else 0.0},
        "loss_below": 3 / n if n else 1.0,  # the rule of three: 0 of n seen, so under 3/n at 95 % (Hanley 1983)
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1], 2) if ordered else 0.0
