"""The verdict: what was meant, against what the log and the far sides tell. Pure, so that it can be tested itself."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from infra.drill import effects, recovery
from infra.drill.evidence import Evidence, Life, allowed, lives_of
from infra.drill.intents import Answered
from infra.drill.stories import MADE, Expected, expected, of_probe, order_of

FORGING = "repeated-and-forged:nats"
LATE = timedelta(seconds=30)  # within which a subscriber is handed what was forged


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
    wanted, odd = _wanted(evidence)
    wanted |= _of_unknown(evidence, lives)
    known = set(wanted) | set(_caused(evidence, lives))
    explained, unexplained = effects.duplicates(evidence.arrivals, evidence.struck, lives)
    forged, otherwise = _subscribed(evidence)
    wrong = {
        "lost": [
            *(f"{id}: {one.kind}, accepted and not in the log" for id, one in wanted.items() if id not in lives),
            *_things_lost(evidence),
        ],
        "stuck": [f"{life.id}: {life.kind}" for life in lives.values() if not life.ends],
        "wrong_answer": odd,
        "wrong_result": list(_wrong_results(wanted, lives)),
        "thing_incomplete": [f"{id}: {told}" for id, told in evidence.things.items() if not told.endswith(" complete")],
        "file_torn": list(evidence.torn),
        "out_of_order": list(_out_of_order(evidence)),
        "second_visible_result": [f"{life.id}: {len(life.ends)} ends" for life in lives.values() if len(life.ends) > 1],
        "phantom_task": [
            f"{life.id}: {life.kind}, nobody asked for it" for id, life in lives.items() if id not in known
        ],
        "phantom_thing": list(_phantom_things(evidence)),
        "phantom_effect": list(effects.phantoms(evidence.arrivals, lives)),
        "missing_effect": list(effects.missing(evidence.arrivals, lives)),
        "wrong_effect": list(effects.wrong(evidence)),
        "unknown_taken_twice": list(_twice(lives)),
        "duplicate_unexplained": unexplained,
        "status_not_allowed": [
            f"{status}: {count} times" for status, count in sorted(evidence.statuses.items()) if not allowed(status)
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
        "stream_told_otherwise": otherwise,
        "never_answered": [
            f"intent {one.number}: {one.story}" for one in evidence.intents if one.number not in evidence.heard
        ],
        "invariant_broken": list(evidence.broken),
        "invariant_broken_meanwhile": list(evidence.broken_meanwhile),
        "grown_without_end": list(evidence.beyond),
        "never_quiet": list(evidence.unquiet),
        "fault_failed": [*evidence.failed, *([] if evidence.struck else ["no fault has struck"])],
    }
    by_fault = Counter(one.rpartition(": ")[2].partition(",")[0] for one in explained)
    figures = {"duplicates_explained": len(explained), "duplicates_by_fault": dict(by_fault), "forged_heard": forged}
    return Verdict(wrong, _figures(evidence, lives) | figures)


def _wanted(evidence: Evidence) -> tuple[dict[str, Expected], list[str]]:
    """What was accepted: tasks, and what is to come of each; and the answers that name others than they should."""
    found, odd = dict[str, Expected](), list[str]()
    for intent in evidence.intents:
        heard = evidence.heard.get(intent.number)
        if heard is None or heard.answered is not Answered.OK or intent.story == "poison":
            continue
        of_each = expected(intent.story, intent.body)
        if len(of_each) == len(heard.tasks) and heard.id:
            found.update(zip(heard.tasks, of_each, strict=True))
        else:
            odd.append(f"intent {intent.number}: {intent.story} names {heard.id!r} and {len(heard.tasks)} tasks")
    return found, odd


def _of_unknown(evidence: Evidence, lives: Mapping[str, Life]) -> dict[str, Expected]:
    """Tasks of probes of which nobody heard: what is to come of them is known all the same."""
    numbers = set(_numbers(evidence, "probe", Answered.UNKNOWN))
    bodies = {one.number: one.body for one in evidence.intents if one.number in numbers}
    return {
        id: of_probe(bodies[_number(life)])
        for id, life in lives.items()
        if life.kind == "probe" and _number(life) in bodies
    }


def _caused(evidence: Evidence, lives: Mapping[str, Life]) -> Iterable[str]:
    """Tasks that follow from a thing which was accepted: each of them once."""
    seen = set()
    for id, life in lives.items():
        request = json.dumps(life.request, sort_keys=True, default=str)
        if (life.kind, request) not in seen and any(str(one) in evidence.things for one in life.request.values()):
            seen.add((life.kind, request))
            yield id


def _things_lost(evidence: Evidence) -> Iterable[str]:
    """What was accepted and has no stream, or not the fact that it should have, once."""
    facts = Counter((line.stream, line.name) for line in evidence.lines)
    for intent in evidence.intents:
        heard = evidence.heard.get(intent.number)
        if heard is None or heard.answered is not Answered.OK or intent.story not in MADE:
            continue
        category, name = MADE[intent.story]
        id = order_of(intent) if intent.story == "confirm" else heard.id
        if (times := facts[f"{category}-{id}", name]) != 1:
            yield f"intent {intent.number}: {intent.story} {id} has {name} {times} times"


def _phantom_things(evidence: Evidence) -> Iterable[str]:
    """Streams of things that nobody asked for."""
    known = {heard.id for heard in evidence.heard.values()} | set(evidence.things)
    categories = {category for category, _ in MADE.values()} - {"upload"}  # each image and film is one, too
    for stream in dict.fromkeys(line.stream for line in evidence.lines):
        category, _, id = stream.partition("-")
        if category in categories and id not in known:
            yield f"{stream}, nobody asked for it"


def _twice(lives: Mapping[str, Life]) -> Iterable[str]:
    count = Counter(_number(life) for life in lives.values() if life.kind == "probe")
    for number, times in count.items():
        if times > 1:
            yield f"intent {number}: {times} tasks"


def _number(life: Life) -> int:
    payload = life.request.get("payload")
    return int(payload["drill"]) if isinstance(payload, dict) and "drill" in payload else 0


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
        end, data = life.ends[0].name.partition(".")[2], life.ends[0].data
        if life.kind != one.kind or end != one.end:
            yield f"{id}: {life.kind} {end}, expected {one.kind} {one.end}: {data}"
        elif end == "completed" and not _right(one, data.get("result")):
            yield f"{id}: {life.kind} with {data.get('result')}"


def _out_of_order(evidence: Evidence) -> Iterable[str]:
    """Tasks of an order's chain that were begun before the one before them was complete."""
    began, ended = dict[str, int](), dict[str, int]()
    for line in evidence.lines:
        category, _, id = line.stream.partition("-")
        if category == "task" and line.name == "task.started":
            began.setdefault(id, line.position)
        if category == "task" and line.name == "task.completed":
            ended.setdefault(id, line.position)
    for intent in evidence.intents:
        heard = evidence.heard.get(intent.number)
        if intent.story != "confirm" or heard is None or heard.answered is not Answered.OK:
            continue
        for before, after in pairwise(heard.tasks):
            if after in began and began[after] < ended.get(before, len(evidence.lines)):
                yield f"intent {intent.number}: {after} began before {before} was complete"


def _right(one: Expected, result: Any) -> bool:
    try:
        return one.result(result)
    except (KeyError, TypeError):  # it has not what it should have
        return False


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


def _subscribed(evidence: Evidence) -> tuple[int, list[str]]:
    """How many messages that somebody forged a subscriber was handed; and those that are not what the log says, while
    nobody forged."""
    told = {line.position: line.id for line in evidence.lines}
    forging = [one for one in evidence.struck if one.kind == FORGING]
    other = [one for one in evidence.subscribed if told.get(one.position) != one.id]
    repeated = {"", *told.values()}  # a message of nobody, or one that was there before
    forged = [
        one
        for one in other
        if one.id in repeated and any(each.began <= one.at <= each.ended + LATE for each in forging)
    ]
    wrong = [
        f"position {one.position} was {one.id or 'a foreign message'} at {one.at:%H:%M:%S}, and is "
        f"{told.get(one.position, 'nothing')}"
        for one in other
        if one not in forged
    ]
    if not evidence.subscribed:
        wrong.append("a subscriber was handed nothing")
    return len(forged), wrong


def _figures(evidence: Evidence, lives: Mapping[str, Life]) -> dict[str, Any]:
    n = len(lives)
    told = {line.position: line.id for line in evidence.lines}
    live = {one.position for one in evidence.subscribed if told.get(one.position) == one.id}
    return {
        "intents": len(evidence.intents),
        "answered": dict(Counter(heard.answered.value for heard in evidence.heard.values())),
        "tasks": n,
        "tasks_by_kind": dict(Counter(life.kind for life in lives.values())),
        "facts": len(evidence.lines),
        "faults": len(evidence.struck),
        "fault_kinds": len({one.kind for one in evidence.struck}),
        "faults_by_kind": dict(sorted(Counter(one.kind for one in evidence.struck).items())),
        "answers_by_status": dict(sorted(evidence.statuses.items())),
        "effects": len(evidence.arrivals),
        "files": evidence.files,
        "handed_live": _share(len(live), len(evidence.lines)),  # of the facts; what is missing the log tells
        "recovery_s": recovery.told(lives, evidence.struck),
        "loss_below": 3 / n if n else 1.0,  # the rule of three: 0 of n seen, so under 3/n at 95 % (Hanley 1983)
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
