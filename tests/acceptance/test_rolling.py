"""Can a new release take over from the one before without a pause? Both run side by side on the newer schema."""

import asyncio
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from infra.embedded.home import free_port
from infra.exits import REFUSED
from infra.migrate import head
from tests.acceptance.apart import Apart, apart
from tests.acceptance.running import ROLES, ROOT, balanced, definite, ended
from tests.waiting import until, until_told

IN_ORDER = ("reader", "relay", "worker", "api")  # who understands what is new comes before who makes it
ANSWERED = 20  # tasks that are accepted between two steps, at least

MIGRATION = '''"""{words}"""

from alembic import op

revision = "{revision}"
down_revision = "{before}"
compatible_from = "{compatible_from}"


def upgrade() -> None:
    op.get_bind().exec_driver_sql("{statement}")
'''


async def test_two_releases_run_side_by_side_and_nothing_is_lost(tmp_path: Path) -> None:
    new = _next_release(tmp_path / "new")
    with apart(tmp_path / "home") as here:
        for role in ROLES:
            here.start(role)
        await _ready(here)
        port, accepted = free_port(), dict[str, list[str]]()
        loading = [asyncio.create_task(_load(here, accepted, "probe", "old"))]
        await _more(accepted, "old")

        here.prepare(new)
        await _more(accepted, "old")
        for role in IN_ORDER:
            here.start(role, new, name=f"new-{role}", POSTCOMMIT_PORT=str(port))
            await _more(accepted, "old")
        await _ready(here, port)
        loading += [
            asyncio.create_task(_load(here, accepted, "probe", "new", port)),
            asyncio.create_task(_load(here, accepted, "greeting", "greeting", port)),
        ]
        await _more(accepted, *accepted)
        await _ready(here)  # the old release finds the newer schema fit, also at its start
        assert here.stop("worker") == 0
        here.start("worker")
        await _more(accepted, *accepted)
        here.prepare()
        assert here.told("check").returncode in (0, 1), "it can be asked on the newer schema"

        loading[0].cancel()
        await asyncio.wait(loading[:1])
        assert [here.stop(role) for role in IN_ORDER] == [0, 0, 0, 0]
        await _more(accepted, "new", "greeting")
        for one in loading:
            one.cancel()
        async with here.client(port) as client:
            tasks = await ended(client, [id for ids in accepted.values() for id in ids])
            assert (await balanced(client))["accepted"] >= len(tasks)
        here.sound(tree=new)
        assert here.ended() == {}, "no role had to be started again"
    assert {task["status"] for task in tasks} == {"complete"}


async def test_what_is_taken_from_the_schema_ends_the_old_release(tmp_path: Path) -> None:
    new = _next_release(tmp_path / "new")
    last = _contracted(new)
    with apart(tmp_path / "home") as here:
        here.start("api")
        await until_told(lambda: _checks(here), 60, (httpx.HTTPError,))
        assert _healthy(here)
        here.prepare(new)
        assert (await _checks(here))["schema"] == "failed"
        assert not _healthy(here)
        late = {role: here.start(role, name=f"late-{role}", POSTCOMMIT_PORT=str(free_port())) for role in ROLES}
        for role, process in late.items():
            assert process.wait(60) == REFUSED
            said = here.log(f"late-{role}")
            assert f"The schema is too new: it is at {last}, this program knows {head()}. Upgrade the program." in said
        refused = here.told("migrate", POSTCOMMIT_POSTGRES_OWNER=here.servers.dsn("postcommit_owner"))
        assert refused.returncode == REFUSED and "The schema is too new" in refused.stderr


def _next_release(tree: Path) -> Path:
    """This program with one kind and one column more, in a directory of its own."""
    for part in ("domain", "adapters", "infra"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    page = (ROOT / "docs/add-a-kind.md").read_text()
    vocabulary, work, line, _ = re.findall(r"```(?:python|text)\n(.*?)```", page, re.DOTALL)
    (tree / "domain/greeting.py").write_text(vocabulary)
    (tree / "adapters/workers/greeting.py").write_text(work)
    app = (tree / "infra/app.py").read_text()
    imports = "from adapters.workers.greeting import greeting\nfrom domain.greeting import KIND as GREETING\n"
    begin = re.search(r"^WORKERS\b.*\(\n", app, re.MULTILINE)
    assert begin
    app = app[: begin.end()] + line + app[begin.end() :]
    (tree / "infra/app.py").write_text(app.replace("from adapters", imports + "from adapters", 1))
    _migration(tree, 1, head(), "0001", "ALTER TABLE postcommit.tasks ADD COLUMN colour TEXT")
    return tree


def _contracted(tree: Path) -> str:
    """One migration more, which no older program can bear; answers with its version."""
    return _migration(tree, 2, f"{int(head()) + 1:04}", None, "ALTER TABLE postcommit.tasks DROP COLUMN colour")


def _migration(tree: Path, further: int, before: str, compatible_from: str | None, statement: str) -> str:
    revision = f"{int(head()) + further:04}"
    text = MIGRATION.format(
        words="Of the next release.",
        revision=revision,
        before=before,
        compatible_from=compatible_from or revision,
        statement=statement,
    )
    (tree / f"infra/migrations/versions/{revision}_next.py").write_text(text)
    return revision


async def _load(here: Apart, accepted: dict[str, list[str]], kind: str, name: str, port: int | None = None) -> None:
    """Ask for one task after another; each is noted under the name as soon as its 202 has come."""
    ids = accepted.setdefault(name, [])
    async with here.client(port, timeout=5) as client:
        for nth in range(100_000):
            request: dict[str, Any] = {"name": "Ada"} if kind == "greeting" else {"payload": nth}
            ids.append((await definite(client, "/v1/tasks", {"kind": kind, "request": request}, f"{name}-{nth}"))["id"])
            await asyncio.sleep(0.02)


async def _more(accepted: dict[str, list[str]], *names: str) -> None:
    """Until each of the loads has had more accepted."""
    await asyncio.sleep(0)  # a load that was only just made enters its name
    wanted = {name: len(accepted[name]) + ANSWERED for name in names}
    await until(lambda: all(len(accepted[name]) >= enough for name, enough in wanted.items()), 60)


def _healthy(here: Apart) -> bool:
    """What the health check of the image says."""
    command = [sys.executable, "-m", "infra.deploy.healthy"]
    return (
        subprocess.run(command, env=here.environment("api", ROOT), cwd=ROOT, stderr=subprocess.DEVNULL).returncode == 0
    )


async def _ready(here: Apart, port: int | None = None) -> None:
    async def ok() -> bool:
        return set((await _checks(here, port)).values()) == {"ok"}

    await until_told(ok, 60, (httpx.HTTPError,))


async def _checks(here: Apart, port: int | None = None) -> dict[str, str]:
    async with here.client(port) as client:
        return dict((await client.get("/readyz")).json()["checks"])
