"""The report of `postcommit check`, for people and for programs."""

import json
import sys
from pathlib import Path

from adapters.postgres.database import Database
from infra.check.run import check
from infra.settings import BadSetting, load


async def report(home: Path | None, as_json: bool) -> int:
    """Print every invariant with what breaks it; answers with the exit code."""
    postgres, nats = _addresses(home)
    database = Database(postgres, 2, "postcommit check")
    try:
        findings = [finding async for finding in check(database, nats)]
    finally:
        await database.close()
    broken = [finding for finding in findings if finding.offenders]
    if as_json:
        print(json.dumps({"broken": len(broken), "invariants": {f.name: f.offenders for f in findings}}, indent=2))
    else:
        for finding in findings:
            print(f"{'broken' if finding.offenders else 'holds '}  {finding.name}")
            for offender in finding.offenders:
                print(f"          {offender}")
    print(f"{len(findings) - len(broken)} of {len(findings)} invariants hold.", file=sys.stderr)
    return 1 if broken else 0


def _addresses(home: Path | None) -> tuple[str, str]:
    if home is None:
        settings = load()
        return settings.postgres, settings.nats
    try:
        run = json.loads((home / "run.json").read_text())
    except FileNotFoundError:
        raise BadSetting(f"Nothing runs on {home}: there is no {home / 'run.json'}.") from None
    return run["postgres"], run["nats"]
