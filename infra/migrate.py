"""Brings the schema to the version that this program knows, and refuses to work on any other."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import ResolutionError
from alembic.util import CommandError

from adapters.postgres.database import Database
from infra import asking
from infra.exits import Refused

MIGRATIONS = Path(__file__).parent / "migrations"


class WrongSchema(Refused):
    """The database has another schema than this program; the message says what to do."""


def upgrade(owner: str, to: str = "head") -> None:
    """Run every migration that is missing, up to a version, as the schema's owner. `owner` is a postgresql:// address.

    Raises WrongSchema where the database has a version that this program does not know, Refused where this user may
    not, Away where Postgres does not answer."""
    config = _config()
    config.attributes["dsn"] = owner
    try:
        with asking.postgres(owner):
            command.upgrade(config, to)
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise
        raise _too_new(str(error.__cause__.argument)) from error


def head() -> str:
    """The newest version that this program knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


async def require(database: Database) -> None:
    """Raises WrongSchema unless the database has exactly this program's schema."""
    found, wanted = await database.schema_version(), head()
    if found is None:
        raise WrongSchema("The database has no postcommit schema: run `postcommit migrate` first.")
    if found < wanted:
        raise WrongSchema(
            f"The schema is too old: it is at {found}, this program needs {wanted}. Run `postcommit migrate`."
        )
    if found > wanted:
        raise _too_new(found)


def _too_new(found: str) -> WrongSchema:
    return WrongSchema(f"The schema is too new: it is at {found}, this program knows {head()}. Upgrade the program.")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config
