"""The report of `postcommit check`, for people and for programs."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from adapters.postgres.database import Database
from infra import asking, reach
from infra.check.run import MOST, Finding, check
from infra.exits import Away, Refused
from infra.migrate import require
from infra.store import files_at

PATIENCE_S = 3_600  # an invariant is asked of the whole log


async def report(home: Path | None, as_json: bool) -> int:
    """Print every invariant with what breaks it, as far as the servers answer; gives the exit code.

    Raises Refused or Away where not everything could be asked, unless what was asked is broken already."""
    postgres, nats = reach.servers(home)
    findings: list[Finding] = []
    stopped = None
    try:
        await _gather(findings, postgres, nats, reach.files(home))
    except (Refused, Away) as error:
        stopped = error
    broken = sum(bool(finding.offenders) for finding in findings)
    if findings:
        _show(findings, broken, as_json)
    if stopped and not broken:
        raise stopped
    print(stopped or f"{len(findings) - broken} of {len(findings)} invariants hold.", file=sys.stderr)
    return 1 if broken else 0


async def _gather(findings: list[Finding], postgres: str, nats: str, files: str) -> None:
    database = Database(postgres, 2, "postcommit check", statement_s=PATIENCE_S)
    try:
        with asking.postgres(postgres):
            await require(database)
            async for finding in check(database, nats, files_at(files) if files else None):
                findings.append(finding)
    finally:
        await database.close()


def _show(findings: Sequence[Finding], broken: int, as_json: bool) -> None:
    if as_json:
        told = {f.name: f.offenders for f in findings}
        more = [f.name for f in findings if f.more]
        print(json.dumps({"broken": broken, "invariants": told, "more": more}, indent=2))
        return
    for finding in findings:
        print(f"{'broken' if finding.offenders else 'holds '}  {finding.name}")
        for offender in finding.offenders:
            print(f"          {offender}")
        if finding.more:
            print(f"          and more: only the first {MOST} are named")
