"""The crash matrix: a role dies at a named point, nothing is lost, nothing shows twice. All of it: `make matrix`."""

from pathlib import Path

import pytest

from infra.drill.matrix import matrix
from infra.drill.points import POINTS

FEW = ["committed, not answered", "published and acknowledged", "claimed", "mail sent", "end to be written", "released"]
LONG = pytest.param(list(POINTS), marks=[pytest.mark.long, pytest.mark.timeout(1_800)])


@pytest.mark.parametrize("points", [pytest.param(FEW, marks=pytest.mark.timeout(300)), LONG], ids=["few", "all"])
async def test_a_crash_anywhere_loses_nothing(tmp_path: Path, points: list[str]) -> None:
    cells = await matrix(tmp_path / "home", points)
    assert {cell.point for cell in cells} == set(points)
    assert [cell for cell in cells if cell.wrong] == []
