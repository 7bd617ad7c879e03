"""The verdict on effects: what arrived at the far sides, against the tasks whose effect it is."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from infra.drill.evidence import Arrival, Attempt, Evidence, Life, Struck
from infra.drill.intents import Answered, Heard, Intent
from infra.drill.stories import CHAIN, buyer_of, order_of

EFFECTS = {"email_welcome": "email", "email_order_confirmation": "email", "warehouse_notify": "webhook"}
"""Kind of task -> the path of its effect."""
LEASE_S, HEARTBEAT_S = 5, 1  # of the service under the drill
ON_ITS_WAY = timedelta(seconds=2)  # after an attempt or a fault: the far side takes what had reached it by then
SILENT = timedelta(seconds=LEASE_S - 1.5 * HEARTBEAT_S)  # at least, of a worker that is taken for lost
OF_EFFECTS = ("smtp", "webhook")  # paths whose faults are over with them


def duplicates(
    arrivals: Sequence[Arrival], struck: Sequence[Struck], lives: Mapping[str, Life]
) -> tuple[list[str], list[str]]:
    """What arrived more than once of one task: explained, where a fault that may repeat it struck the attempt by which
    it arrived the first time, and unexplained. An attempt sends once: more copies than attempts are unexplained."""
    times: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for arrival in arrivals:
        times[arrival.path, arrival.task or arrival.name].append(arrival.at)
    explained, unexplained = list[str](), list[str]()
    for (path, task), found in times.items():
        found.sort()
        attempts = lives[task].attempts if task in lives else []
        may = [one for one in struck if path in one.touches] if len(found) <= len(attempts) else []
        for first, again in pairwise(found):
            by = dict.fromkeys(one.kind for one in may if any(_cut_off(each, one, first) for each in attempts))
            told = f"{path} of {task} at {again:%H:%M:%S}, first at {first:%H:%M:%S}"
            (explained if by else unexplained).append(f"{told}: {', '.join(list(by)[:3])}" if by else told)
    return explained, unexplained


def _cut_off(attempt: Attempt, by: Struck, sent: datetime) -> bool:
    """Whether the attempt may have sent it, and the fault may have kept it from saying so."""
    if by.kind.partition(":")[2] in OF_EFFECTS and sent > by.ended + ON_ITS_WAY:
        return False
    if attempt.ended is None:
        return attempt.began <= sent and attempt.began <= by.ended
    latest = attempt.ended - SILENT if attempt.lost else attempt.ended
    return (
        attempt.began <= sent <= max(attempt.ended, by.ended) + ON_ITS_WAY
        and by.began <= latest
        and by.ended >= attempt.began
    )


def phantoms(arrivals: Sequence[Arrival], lives: Mapping[str, Life]) -> Iterable[str]:
    """What arrived, and no task has sent it."""
    for one in arrivals:
        life = lives.get(one.task)
        if life is None or EFFECTS.get(life.kind) != one.path:
            yield f"{one.path} {one.name} of no such task"


def missing(arrivals: Sequence[Arrival], lives: Mapping[str, Life]) -> Iterable[str]:
    """Tasks that are complete, and whose effect never came."""
    arrived = {(one.path, one.task) for one in arrivals}
    for life in lives.values():
        path = EFFECTS.get(life.kind)
        complete = life.ends and life.ends[0].name.endswith(".completed")
        if path and complete and (path, life.id) not in arrived:
            yield f"{life.id}: {life.kind} is complete, and its {path} never came"


def wrong(evidence: Evidence) -> Iterable[str]:
    """What arrived at somebody else, about something else, or under two names."""
    wanted = _about(evidence.intents, evidence.heard)
    names: dict[tuple[str, str], str] = {}
    for one in evidence.arrivals:
        if one.task in wanted and one.about != wanted[one.task]:
            yield f"{one.path} of {one.task}: {one.about!r}, expected {wanted[one.task]!r}"
        if names.setdefault((one.path, one.task), one.name) != one.name:
            yield f"{one.path} of {one.task} came as {one.name} and as {names[one.path, one.task]}"


def _about(intents: Sequence[Intent], heard: Mapping[int, Heard]) -> dict[str, str]:
    """Task -> to whom its effect goes, and what it says."""
    taken = {one.number: heard[one.number] for one in intents if _ok(heard.get(one.number))}
    people = {taken[one.number].id: one.body for one in intents if one.story == "account" and one.number in taken}
    buyers = {taken[one.number].id: buyer_of(one) for one in intents if one.story == "order" and one.number in taken}
    found = {}
    for one in intents:
        tasks = taken[one.number].tasks if one.number in taken else ()
        if one.story == "account" and len(tasks) == 1:
            found[tasks[0]] = f"{one.body['email']}: Welcome, {one.body['name']}"
        if one.story == "confirm" and len(tasks) == len(CHAIN):
            order = order_of(one)
            person = people.get(buyers.get(order, ""), {"email": "nobody"})
            found[tasks[0]] = f"{person['email']}: Your order {order}"
            found[tasks[1]] = f"order.confirmed: {order}"
    return found


def _ok(heard: Heard | None) -> bool:
    return heard is not None and heard.answered is Answered.OK
