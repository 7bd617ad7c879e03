"""PDFs: set by typst out of data, and bound of several, each in a child process that can do nothing else."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from adapters.tools.sandbox import Limits, run

CHILDREN = Path(__file__).with_name("children")
GIB = 1024**3
SETTING = Limits(wall_s=900, cpu_s=300, memory_bytes=4 * GIB, file_bytes=GIB)
BINDING = Limits(wall_s=1_800, cpu_s=900, memory_bytes=8 * GIB, file_bytes=4 * GIB)


@dataclass(frozen=True, slots=True)
class Paper:
    """Answers with the PDF and how many pages it has."""

    async def set(self, given: Path, made: Path, data: Mapping[str, Any]) -> tuple[Path, int]:
        """One section, as children/report.typ sets it."""
        shutil.copyfile(CHILDREN / "report.typ", given / "main.typ")
        (given / "data.json").write_bytes(msgspec.json.encode(data))
        return await self._run("set", given, made, SETTING)

    async def bind(self, given: Path, made: Path) -> tuple[Path, int]:
        """0.pdf, 1.pdf, … one after the other."""
        return await self._run("bind", given, made, BINDING)

    async def _run(self, what: str, given: Path, made: Path, limits: Limits) -> tuple[Path, int]:
        argv = (sys.executable, "-I", str(CHILDREN / "paper.py"), what, str(given))
        readable = sorted({sys.prefix, sys.base_prefix, str(CHILDREN)})
        told = await run(argv, limits=limits, given=given, made=made, readable=readable)
        return made / "out.pdf", int(told)
