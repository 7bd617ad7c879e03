"""Do the sabotage builds still fit the program?"""

import subprocess
import sys

import pytest

from infra.drill.faults.table import FAULTS
from infra.drill.matrix.points import POINTS
from tests.sabotage.build import Build, Change, Drill, Stale, changed
from tests.sabotage.builds import BUILDS, NO_TURN
from tests.sabotage.tree import ROOT, Ran, copied, environment
from tests.sabotage.trial import Ended, judged
from tests.sabotage.verdict import Unreadable, complaints


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_a_build_changes_what_stands_there_once_and_still_compiles(build: Build) -> None:
    texts = changed(build, ROOT)
    for name, text in texts.items():
        assert text != (ROOT / name).read_text()
        if name.endswith(".py"):
            compile(text, name, "exec")


@pytest.mark.parametrize("old", ["FROM", "no such words"])
def test_a_change_that_does_not_fit_is_told(old: str) -> None:
    build = Build("stale", "", (Change("adapters/postgres/sql/claim_tasks.sql", old, ""),), NO_TURN.noticed_by, ())
    with pytest.raises(Stale, match=r"stale: in .*claim_tasks\.sql"):
        changed(build, ROOT)


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_the_faults_and_points_of_a_build_are_known(build: Build) -> None:
    match build.noticed_by:
        case Drill(faults=faults):
            assert set(faults) <= FAULTS.keys()
        case matrix:
            assert set(matrix.points) <= POINTS.keys()


def test_python_finds_the_copy_and_not_the_program_itself() -> None:
    asked = "import adapters, domain, infra; print(*(one.__path__[0] for one in (adapters, domain, infra)), sep='\\n')"
    with copied({"domain/log.py": "raise SystemExit('sabotaged')\n"}) as copy:
        argv, env = [sys.executable, "-c"], environment(copy)
        paths = subprocess.run([*argv, asked], cwd="/", env=env, capture_output=True, text=True, check=True).stdout
        code = subprocess.run([*argv, "import infra.app"], cwd="/", env=env, capture_output=True, text=True).stderr
        assert paths.split() == [str(copy / name) for name in ("adapters", "domain", "infra")]
        assert "sabotaged" in code


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ('{"good": true, "wrong": {"lost": [], "stuck": []}}', []),
        ('{"good": false, "wrong": {"lost": ["1: probe"], "stuck": []}}', ["lost: 1: probe"]),
        (
            '[{"point": "claimed", "kind": "probe", "wrong": []}, {"point": "x", "kind": "email", "wrong": ["late"]}]',
            ["x, email: late"],
        ),
    ],
)
def test_a_verdict_of_the_drill_or_the_matrix_is_read(printed: str, said: list[str]) -> None:
    assert complaints(printed) == said


@pytest.mark.parametrize("printed", ["", "Traceback", "[]", "{}", '{"wrong": []}'])
def test_what_is_no_verdict_is_not_taken_for_a_red_one(printed: str) -> None:
    with pytest.raises(Unreadable):
        complaints(printed)


STUCK = '{"wrong": {"lost": [], "stuck": ["1: probe"]}}'


@pytest.mark.parametrize(
    ("printed", "code", "named", "ended"),
    [
        ('{"wrong": {"lost": [], "stuck": []}}', 0, ("stuck: ",), Ended.GREEN),
        (STUCK, 1, ("lost: ", "stuck: "), Ended.RED),
        (STUCK, 1, ("lost: ",), Ended.RED_OTHERWISE),
        ("", 1, ("stuck: ",), Ended.NO_VERDICT),
    ],
)
def test_only_a_verdict_that_names_what_the_build_hurts_has_caught_it(printed, code, named, ended) -> None:
    assert judged("a build", NO_TURN.noticed_by, Ran(code, printed, "Traceback", True), 1.0, named).ended is ended
