"""A cell of the crash matrix: what one crash with one work has led to, and what is wrong with it. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra.drill.effects import EFFECTS
from infra.drill.evidence import Arrival, Life, Line, lives_of
from infra.drill.matrix.passing import Death
from infra.drill.matrix.point import Point
from infra.drill.matrix.works import PAYLOAD, Work
from infra.drill.stories import PRICE_CENTS


@dataclass(frozen=True, slots=True)
class Cell:
    """One crash: how often the point was reached, how many mails and notices came, and what is wrong."""

    point: str
    kind: str
    reached: int
    effects: int
    seconds: float
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that came of it: the facts that the log has more than before, and how the point was reached. `struck` is None
    where no role died."""

    lines: Sequence[Line]
    told: Mapping[str, Mapping[str, Any]]  # task -> what the REST API says
    arrivals: Sequence[Arrival]
    reached: int
    struck: Death | None


STATUSES = {"completed": "complete", "cancelled": "cancelled"}


def wrong(point: Point, work: Work, seen: Seen) -> list[str]:
    """Each list must be empty."""
    lives = lives_of(seen.lines)
    return [
        *_of_the_point(point, seen),
        *_of_what_began(work, seen, lives),
        *(one for life in lives.values() for one in _of_a_task(work.end, life, seen)),
        *(one for life in lives.values() for one in _of_its_effects(point, life, seen)),
    ]


def phantoms(tasks: Mapping[str, Life], known: Iterable[str], arrivals: Iterable[Arrival]) -> list[str]:
    """At the end, of the whole log: tasks that are no cell's, more or less than one end, effects of nobody."""
    known = set(known)
    strange = [f"the task {id} is no cell's: {life.kind}" for id, life in tasks.items() if id not in known]
    gone = [f"the task {id} is not in the log any more" for id in known if id not in tasks]
    ends = [f"the task {id} has {len(life.ends)} ends" for id, life in tasks.items() if len(life.ends) != 1]
    kinds = {id: EFFECTS.get(life.kind) for id, life in tasks.items()}
    return strange + gone + ends + [f"{one.path} {one.name}" for one in arrivals if kinds.get(one.task) != one.path]


def _of_the_point(point: Point, seen: Seen) -> Iterable[str]:
    if seen.struck is None:
        yield "the point was never reached"
    # What the API was about to write is written by none, so there nobody asks.
    elif point.role != "api" and seen.struck.ids and not _own(seen.struck.ids, seen.lines):
        yield f"the point was reached by the work of others: {', '.join(seen.struck.ids[:3])}"


def _own(ids: Iterable[str], lines: Iterable[Line]) -> bool:
    """Whether one of the ids is told of in these lines."""
    told = " ".join(f"{line.stream} {line.id}" for line in lines)
    return any(id in told for id in ids)


def _of_what_began(work: Work, seen: Seen, lives: Mapping[str, Life]) -> Iterable[str]:
    things = {line.stream for line in seen.lines} - {f"task-{id}" for id in lives}
    began = Counter(life.kind for life in lives.values()) + Counter(name.partition("-")[0] for name in things)
    if began != Counter(work.makes):
        yield f"there began {dict(began)}, and there should {dict(work.makes)}"


def _of_a_task(end: str, life: Life, seen: Seen) -> Iterable[str]:
    ends = [line.name.partition(".")[2] for line in life.ends]
    if ends != [end]:
        yield f"{life.kind} has the ends {ends}"
    told = seen.told[life.id]
    if told["status"] != STATUSES[end]:
        yield f"{life.kind} is {told['status']}: {told['error']}"
    elif told["status"] == "complete" and not _right(life, told["result"]):
        yield f"{life.kind} has the result {told['result']}"


def _right(life: Life, result: Mapping[str, Any]) -> bool:
    """What the works themselves do not look at."""
    match life.kind:
        case "probe":
            return bool(result["payload"] == PAYLOAD and result["attempt"] > life.request.get("fail_first", 0))
        case "email_welcome" | "email_order_confirmation":
            return life.id in result["message_id"]
        case "warehouse_notify":
            return bool(result["status"] == 204)
        case "analytics_record":
            return bool(result["total_cents"] == PRICE_CENTS)
    return True


def _of_its_effects(point: Point, life: Life, seen: Seen) -> Iterable[str]:
    """One comes twice only if the point admits it, the far side had it before the crash, and it ended after that."""
    if (path := EFFECTS.get(life.kind)) is None:
        return
    came = sorted(one.at for one in seen.arrivals if (one.path, one.task) == (path, life.id))
    if not came:
        yield f"the {path} of {life.kind} never came"
    elif len(came) > (2 if path in point.admits and _between(came[0], seen.struck, seen.told[life.id]) else 1):
        yield f"the {path} of {life.kind} came {len(came)} times"


def _between(came: datetime, struck: Death | None, told: Mapping[str, Any]) -> bool:
    """Whether the crash fell between the far side's taking the effect and the end of its task."""
    finished = told["finished_at"]
    return struck is not None and finished is not None and came < struck.at < datetime.fromisoformat(finished)
