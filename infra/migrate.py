"""Brings the schema to the version that this program knows, and refuses to work on one that does not fit.

A newer schema fits as long as every migration since says so by its `compatible_from`: it only added what this program
does not miss. So two releases of the roles can run side by side."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError

from adapters.postgres.database import Database, Schema
from infra import asking
from infra.exits import Refused

MIGRATIONS = Path(__file__).parent / "migrations"


class WrongSchema(Refused):
    """The database has another schema than this program; the message says what to do."""


def upgrade(owner: str, to: str = "head") -> str:
    """Run every migration that is missing, up to a version, as the schema's owner. `owner` is a postgresql:// address.

    Answers with the version that the schema has now: a newer one that fits is left as it is. Raises WrongSchema where
    the database has a version that this program cannot work on, Refused where this user may not, Away where Postgres
    does not answer."""
    config = _config()
    config.attributes["dsn"] = owner
    try:
        with asking.postgres(owner):
            command.upgrade(config, to)
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise
        with asking.postgres(owner):  # a newer program was here
            return asyncio.run(_require(owner)).version
    return head() if to == "head" else to


def head() -> str:
    """The newest version that this program knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


async def require(database: Database) -> Schema:
    """The schema that is there. Raises WrongSchema unless this program can work on it."""
    found = await database.schema()
    if flaw := unfit(found, head()):
        raise WrongSchema(flaw)
    assert found is not None
    return found


def unfit(found: Schema | None, wanted: str) -> str | None:
    """Why a program whose newest version is `wanted` cannot work on that schema, as a sentence; None where it can."""
    if found is None:
        return "The database has no postcommit schema: run `postcommit migrate` first."
    if found.version < wanted:
        return (
            f"The schema is too old: it is at {found.version}, this program needs {wanted}. Run `postcommit migrate`."
        )
    if found.version > wanted and (found.compatible_from or found.version) > wanted:
        return f"The schema is too new: it is at {found.version}, this program knows {wanted}. Upgrade the program."
    return None


async def _require(dsn: str) -> Schema:
    database = Database(dsn, 1, "postcommit migrate")
    try:
        return await require(database)
    finally:
        await database.close()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
