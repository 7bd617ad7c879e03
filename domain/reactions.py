"""What follows from what: a fact, and the tasks that it causes. They are written in the same transaction."""

from dataclasses import dataclass
from uuid import UUID

from domain import account, analytics, confirmation, email, image, order, removal, report, transcoding, video, warehouse
from domain.log import Fact
from domain.record import derived_id


@dataclass(frozen=True, slots=True)
class Follow:
    """A task that a fact causes; it waits until those that it `needs` are complete."""

    id: UUID
    kind: str
    request: dict[str, object]
    needs: tuple[UUID, ...] = ()


def follow(fact: Fact) -> list[Follow]:
    """The tasks that the fact causes. Their ids derive from the fact's, so that the same fact causes them once."""
    match fact.event:
        case account.Registered():
            return [_task(fact, email.KIND.name, {"account": _thing(fact)})]
        case order.Confirmed():
            kinds = (confirmation.KIND.name, warehouse.KIND.name, analytics.KIND.name)
            return _chain(fact, kinds, {"order": _thing(fact)})
        case video.Created():
            return [_task(fact, transcoding.PROBE.name, {"video": _thing(fact)})]
        case video.Planned():
            return _film(fact, fact.event)
        case image.Created():
            return [_task(fact, image.KIND.name, {"image": _thing(fact)})]
        case report.Requested():
            return [_task(fact, report.PLAN.name, {"report": _thing(fact)})]
        case report.Planned():
            return _pages(fact, fact.event)
        case video.Deleted() | image.Deleted() | report.Deleted():
            return [_task(fact, removal.KIND.name, {"category": _category(fact), "id": _thing(fact)})]
        case _:
            return []


def _task(fact: Fact, kind: str, request: dict[str, object], *needs: Follow) -> Follow:
    return Follow(derived_id(fact.id, kind), kind, request, tuple(need.id for need in needs))


def _chain(fact: Fact, kinds: tuple[str, ...], request: dict[str, object]) -> list[Follow]:
    """Strictly one after the other: each needs the one before it."""
    chain: list[Follow] = []
    for kind in kinds:
        chain.append(_task(fact, kind, request, *chain[-1:]))
    return chain


def _film(fact: Fact, planned: video.Planned) -> list[Follow]:
    """The pieces of one rendition after another, so that the smallest can be played first; the sound before them."""
    of_video: dict[str, object] = {"video": _thing(fact)}
    left = video.still_to_make(planned)
    sound = [_task(fact, transcoding.SOUND.name, of_video)] if left and planned.found.audio_codec else []
    found = list(sound)
    for rendition in left:
        of_rendition = of_video | {"rendition": rendition.name}
        pieces = [
            _numbered(fact, transcoding.SEGMENT.name, of_rendition | {"piece": number})
            for number in range(len(planned.pieces))
        ]
        found += [*pieces, _numbered(fact, transcoding.PACKAGE.name, of_rendition, *pieces, *sound)]
    stills = [] if planned.reused_stills else [_task(fact, transcoding.STILLS.name, of_video)]
    return [*found[:1], *stills, *found[1:]]


def _pages(fact: Fact, planned: report.Planned) -> list[Follow]:
    """A task for each section, and one that binds them."""
    of_report: dict[str, object] = {"report": _thing(fact)}
    sections = [
        _numbered(fact, report.SECTION.name, of_report | {"section": number})
        for number in range(len(planned.sections) + 1)
    ]
    return [*sections, _task(fact, report.BIND.name, of_report, *sections)]


def _numbered(fact: Fact, kind: str, request: dict[str, object], *needs: Follow) -> Follow:
    """One of several of this kind: its request tells them apart."""
    name = " ".join([kind, *(str(value) for key, value in request.items() if key not in ("video", "report"))])
    return Follow(derived_id(fact.id, name), kind, request, tuple(need.id for need in needs))


def _category(fact: Fact) -> str:
    return fact.stream.partition("-")[0]


def _thing(fact: Fact) -> str:
    """The id of the thing whose stream the fact stands in."""
    return fact.stream.partition("-")[2]
