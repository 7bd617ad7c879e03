"""A reader was rebuilt: an operator folded the log anew, and what differed was mended."""

from uuid import UUID

from domain.record import Record, derived_id


class Rebuilt(Record, frozen=True):
    """Up to `position` the reader's rows are the fold of the log; `differences` rows were not."""

    name: str
    position: int
    differences: int


Event = Rebuilt


def id_of(reader: str) -> UUID:
    """The id of a reader: it has a name only, and a stream needs one."""
    return derived_id(UUID(int=0), reader)
