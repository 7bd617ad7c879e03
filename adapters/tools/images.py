"""Images of strangers: each is made smaller in a child process of its own, which can do nothing else."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from adapters.tools.sandbox import Broken, Limits, run

PICTURE = str(Path(__file__).with_name("children") / "picture.py")
MIB = 1024**2
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")  # of a file in the folder that the child may write to
MOST_PIXELS = 100_000_000
LIMITS = Limits(wall_s=300, cpu_s=120, memory_bytes=2_048 * MIB, file_bytes=256 * MIB)


class NoImage(Exception):
    """It is nothing that can be shown; the message is a full sentence."""


class Size(msgspec.Struct, frozen=True):
    name: str  # of the file
    media_type: str
    width: int
    height: int


class Sized(msgspec.Struct, frozen=True):
    """Width and height are those of the image as it is shown."""

    format: str
    width: int
    height: int
    variants: tuple[Size, ...]


@dataclass(frozen=True, slots=True)
class Images:
    """`sides`: how long the longer side of each size is at most, in pixels."""

    sides: Sequence[int]
    most_pixels: int = MOST_PIXELS

    async def sizes(self, source: int, made: Path) -> Sized:
        """Make every size in every format. Raises NoImage, and what the sandbox raises."""
        asked = {"sides": list(self.sides), "most_pixels": self.most_pixels}
        argv = (sys.executable, "-I", PICTURE, msgspec.json.encode(asked).decode())
        readable = sorted({sys.prefix, sys.base_prefix, str(Path(PICTURE).parent)})
        told: Any = msgspec.json.decode(await run(argv, limits=LIMITS, source=source, made=made, readable=readable))
        if "refused" in told:
            raise NoImage(told["refused"])
        sized = msgspec.convert(told, Sized)
        if odd := [one.name for one in sized.variants if not NAME.fullmatch(one.name)]:
            raise Broken(f"It named a file {odd[0]!r}.")
        return sized
