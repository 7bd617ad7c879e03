"""`postcommit doctor`: looks at all that can be seen from here, and says what to do where it is not well."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

from adapters.nats.stream import Limits
from infra import reach
from infra.commands import show
from infra.commands.api import printable
from infra.doctor import around, nats, postgres
from infra.doctor.finding import Finding, State, failed, ok
from infra.exits import DONE, FAILED, Refused
from infra.settings import Settings, load


async def report(home: Path | None, as_json: bool) -> int:
    """Print what was found; gives the exit code: 1 where something has failed."""
    findings = []
    async for finding in examined(home):
        findings.append(finding)
        if not as_json:
            _show(finding)
    ill = [one for one in findings if one.state is State.FAILED]
    if as_json:
        show.document({"healthy": not ill, "findings": [asdict(one) for one in findings]})
    show.say(f"{len(ill)} of {len(findings)} findings are failures." if ill else "Nothing has failed.")
    return FAILED if ill else DONE


async def examined(home: Path | None) -> AsyncIterator[Finding]:
    yield around.python()
    try:
        settings = load()
        run = reach.run_of(home) if home is not None else {}
    except Refused as refusal:
        yield failed("settings", str(refusal), "Correct it; nothing else was looked at.")
        return
    yield ok("settings", "The settings can be read.")
    async for finding in postgres.examined(run.get("postgres", settings.postgres)):
        yield finding
    limits = _limits(settings) if home is None else None
    conf = home / "nats" / "nats.conf" if home is not None else None
    async for finding in nats.examined(run.get("nats_admin", settings.nats), limits, conf):
        yield finding
    yield await around.mail(run.get("mail", settings.smtp))
    yield await asyncio.to_thread(around.api, run.get("http", settings.url))
    yield await around.sandbox()
    if home is not None:
        yield around.disk(home)


def _limits(settings: Settings) -> Limits:
    return Limits(settings.nats_max_bytes, settings.nats_max_age_s, settings.nats_replicas)


def _show(finding: Finding) -> None:
    print(f"{finding.state:<8} {finding.name:<14} {printable(finding.found)}", flush=True)
    if finding.advice:
        print(f"{'':<8} {'':<14} → {printable(finding.advice)}", flush=True)
