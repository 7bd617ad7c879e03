"""A crash point: where a role can be told to die."""

from dataclasses import dataclass

from infra.drill.matrix.passing import Asked, always

USUAL = ("probe", "email", "webhook")


@dataclass(frozen=True, slots=True)
class Point:
    """`role` dies before it calls the function, or after, where the call is one that is asked for. `kinds` of work come
    by, and `admits` names the effects that may be repeated by a crash just there. At a point where `late` bells come by
    (one that nobody acknowledged rings again 30 s later), those for work that had ended before are not meant."""

    role: str
    where: str  # module:name or module:class.name
    after: bool = False
    asked: Asked = always
    admits: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = USUAL
    late: bool = False
