"""The crash matrix: a role dies at a named point, nothing is lost, nothing shows twice. All of it: `make matrix`."""

from pathlib import Path

import pytest

from infra.drill.matrix.points import POINTS
from infra.drill.matrix.run import matrix
from infra.drill.matrix.striking import WORKS

FEW = (
    *("committed, not answered", "published and acknowledged", "mail sent", "end to be written"),
    *("released, not committed", "sizes named"),
)
SHORT = pytest.param(FEW, ("webhook", "image"), marks=pytest.mark.timeout(300))
LONG = pytest.param(tuple(POINTS), tuple(WORKS), marks=[pytest.mark.long, pytest.mark.timeout(2_400)])


@pytest.mark.parametrize(("points", "kinds"), [SHORT, LONG], ids=["few", "all"])
async def test_a_crash_anywhere_loses_nothing(tmp_path: Path, points: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    cells = await matrix(tmp_path / "home", points, kinds)
    assert {cell.point for cell in cells} == set(points)
    assert [cell for cell in cells if cell.wrong] == []
