"""`postcommit readers`: how far they are, and one of them folded anew."""

import getpass
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from adapters.postgres.database import Database
from adapters.postgres.readers import FOLDS, READERS
from infra import asking
from infra.exits import Refused
from infra.migrate import require
from infra.reach import run_of
from infra.rebuild import Unfoldable, Verdict, compared, rebuilt, require_fold
from infra.settings import load

WIDTH = 40  # of the bar


async def list_readers(home: Path | None, as_json: bool) -> int:
    """Print every reader: its position, how far behind it is, and how many rows it has written."""
    dsn, _ = _addresses(home)
    database = Database(dsn, 1, "postcommit readers")
    try:
        with asking.postgres(dsn):
            await require(database)
            found = [dict(row) | {"rows": None} for row in await database.fetch("list_readers", list(READERS))]
            for reader in found:
                reader["rows"] = await _rows(database, reader["name"])
    finally:
        await database.close()
    if as_json:
        print(json.dumps({"readers": found}, indent=2))
        return 0
    print(f"{'reader':<12}{'position':>12}{'behind':>10}{'behind_s':>10}{'rows':>12}")
    for one in found:
        rows = "" if one["rows"] is None else one["rows"]
        print(f"{one['name']:<12}{one['position']:>12}{one['behind']:>10}{one['behind_s']:>10.1f}{rows:>12}")
    return 0


async def rebuild(name: str, home: Path | None, dry_run: bool, as_json: bool) -> int:
    """Fold the log anew beside the reader's rows, tell what differs, and mend it. Answers with the exit code: 1 where
    anything differed. Raises Refused or Away."""
    require_fold(name)
    dsn, owner = _addresses(home)
    bar = Bar(name)
    with asking.postgres(dsn):
        await _require_schema(dsn)
    try:
        with asking.postgres(dsn if dry_run else owner):
            if dry_run:
                verdict = await compared(dsn, name, bar.told)
            else:
                verdict = await rebuilt(owner, name, _actor(), bar.told, _say)
    except Unfoldable as error:
        raise Refused(str(error)) from error
    finally:
        bar.end()
    _show(verdict, as_json)
    return 1 if verdict.differences else 0


class Bar:
    """How far it is, on a terminal only."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = False

    def told(self, position: int, end: int) -> None:
        if sys.stderr.isatty():
            done = WIDTH * position // max(end, 1)
            line = f"\r{self._name} [{'█' * done}{' ' * (WIDTH - done)}] {position:,} of {end:,}"
            print(line, end="", file=sys.stderr, flush=True)
            self._shown = True

    def end(self) -> None:
        if self._shown:
            print(file=sys.stderr)
            self._shown = False


def _show(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(verdict), indent=2))
    else:
        for difference in verdict.named:
            print(difference)
        if verdict.differences > len(verdict.named):
            print(f"and {verdict.differences - len(verdict.named):,} others")
    number = f"{verdict.differences:,} rows differed" if verdict.differences != 1 else "1 row differed"
    ending = ", and mended" if verdict.mended else ""
    _say(f"The reader {verdict.reader} at position {verdict.position:,}: {number} from the fold of the log{ending}.")


async def _rows(database: Database, name: str) -> int | None:
    if name not in FOLDS:
        return None
    async with database.core() as connection:
        return int(await connection.scalar(select(func.count()).select_from(FOLDS[name].table)) or 0)


async def _require_schema(dsn: str) -> None:
    database = Database(dsn, 1, "postcommit readers")
    try:
        await require(database)
    finally:
        await database.close()


def _addresses(home: Path | None) -> tuple[str, str]:
    """Of Postgres: for the program, and for the schema's owner."""
    if home is None:
        settings = load()
        return settings.postgres, settings.postgres_owner or settings.postgres
    run: dict[str, Any] = run_of(home)
    return run["postgres"], run["postgres_owner"]


def _actor() -> str:
    try:
        return f"cli/{getpass.getuser()}"
    except (KeyError, OSError):  # in a container the user may have a number only
        return f"cli/{os.getuid()}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
