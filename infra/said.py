"""Words for a log whose disk may be full: what cannot be written then is lost, and nothing ends for it."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO


@dataclass(frozen=True)
class Undaunted:
    """A stream that is written to as long as it can be."""

    stream: TextIO

    def write(self, text: str) -> int:
        with suppress(OSError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self.stream.flush()
