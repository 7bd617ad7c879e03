"""Does every migration say who may go on with what it leaves, and is that believed?"""

import pytest
from alembic.script import ScriptDirectory

from adapters.postgres.database import Schema
from infra.migrate import MIGRATIONS, unfit

VERSIONS = [one.module for one in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
NAMES = {version.revision for version in VERSIONS}


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.__name__)
def test_every_migration_tells_the_oldest_version_whose_programs_may_go_on(version) -> None:
    assert version.compatible_from in NAMES, "the line `compatible_from = …` names a version"
    assert version.compatible_from <= version.revision


@pytest.mark.parametrize(
    ("found", "begin"),
    [
        (None, "The database has no postcommit schema"),
        (Schema("0002", "0001"), "The schema is too old: it is at 0002, this program needs 0003. Run `postcommit migr"),
        (Schema("0003", "0001"), None),
        (Schema("0003", "0003"), None),
        (Schema("0003", None), None),
        (Schema("0005", "0002"), None),
        (Schema("0005", "0003"), None),
        (Schema("0005", "0004"), "The schema is too new: it is at 0005, this program knows 0003. Upgrade the program."),
        (Schema("0005", None), "The schema is too new"),
    ],
)
def test_a_program_that_knows_0003_goes_on_with_what_fits(found: Schema | None, begin: str | None) -> None:
    told = unfit(found, "0003")
    assert told is None if begin is None else str(told).startswith(begin)
