"""Do the example programs of the documentation see each event once, whatever is killed and wiped?"""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.running import Running, definite
from tests.waiting import until

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
FILTER = "events.v1.order.>"
OUR_ORDERS = """
SELECT json_agg(json_build_array(l.position, e.id) ORDER BY l.position)
FROM postcommit.ledger l JOIN postcommit.events e ON e.id = l.event
WHERE e.subject LIKE 'events.v1.order.%'
"""
Row = list[Any]  # position, id


def of_sqlite(file: Path) -> list[Row]:
    if not file.exists():
        return []
    with closing(sqlite3.connect(file)) as store:
        try:
            return [list(row) for row in store.execute("SELECT position, id FROM events ORDER BY position")]
        except sqlite3.OperationalError:  # its table is not made yet
            return []


def of_lines(file: Path) -> list[Row]:
    lines = file.read_text().splitlines() if file.exists() else []
    return sorted([told["position"], told["id"]] for told in map(json.loads, lines))


def of_columns(file: Path) -> list[Row]:
    lines = [line.split("\t", 1) for line in file.read_text().splitlines()] if file.exists() else []
    rows = [[int(position), json.loads(told)["id"]] for position, told in lines]
    assert rows == sorted(rows), "the live stream is in order"
    return rows


@dataclass
class Program:
    """An example that runs, and what it has kept."""

    argv: list[str]
    file: Path
    kept: Callable[[Path], list[Row]]
    environ: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        with self.file.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.argv, str(self.file)],
                env=os.environ | self.environ,
                cwd=self.cwd,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill -9, also of what it has started itself."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    @property
    def rows(self) -> list[Row]:
        return self.kept(self.file)

    @property
    def said(self) -> str:
        return self.file.with_suffix(".log").read_text(errors="replace")[-2_000:]


def consumer(service: Running, name: str) -> dict[str, str]:
    """Add it by the command line, as an operator does; gives the environment of its program."""
    arguments = ["consumers", "add", name, "--filter", FILTER, "--home", str(service.home), "--json"]
    program = [sys.executable, "-m", "infra.cli", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, cwd=EXAMPLES.parents[1])
    assert (done.returncode, done.stderr) == (0, "")
    return {"NATS_URL": json.loads(done.stdout)["url"], "CONSUMER": name}


def nats_py(service: Running, folder: Path) -> Program:
    environ = consumer(service, "billing")
    return Program([sys.executable, str(EXAMPLES / "nats_py.py")], folder / "billing.sqlite", of_sqlite, environ)


def faststream(service: Running, folder: Path) -> Program:
    program = [sys.executable, str(EXAMPLES / "faststream_consumer.py")]
    return Program(program, folder / "shipping.sqlite", of_sqlite, consumer(service, "shipping"))


def javascript(service: Running, folder: Path) -> Program:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("There is no node and npm here: the JavaScript example was not run.")
    for name in ("package.json", "consumer.mjs"):
        shutil.copy(EXAMPLES / name, folder)
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=180)
    if done.returncode:
        pytest.skip(f"npm could not get the packages: the JavaScript example was not run. {done.stderr[-300:]}")
    environ = consumer(service, "reporting")
    return Program(["node", "consumer.mjs"], folder / "reporting.ndjson", of_lines, environ, folder)


def shell(service: Running, folder: Path) -> Program:
    if shutil.which("curl") is None:
        pytest.skip("There is no curl here: the example for the shell was not run.")
    told = service.told
    environ = {"URL": told["http"], "KEY": told["keys"]["auditor"]}
    return Program(["sh", str(EXAMPLES / "follow.sh"), "events.v1.order."], folder / "o.tsv", of_columns, environ)


@contextmanager
def run(program: Program) -> Iterator[Program]:
    program.start()
    try:
        yield program
    finally:
        program.kill()


@pytest.mark.parametrize("example", [nats_py, faststream, javascript, shell])
async def test_an_example_sees_each_order_event_once_though_it_starts_late_is_killed_and_the_stream_is_wiped(
    service: Running, tmp_path: Path, example: Callable[[Running, Path], Program]
) -> None:
    async with service.client(timeout=10.0) as client:
        await orders(client, f"{example.__name__}-early", 10)
        with run(example(service, tmp_path)) as program:
            await until(lambda: len(program.rows) >= 10, 30)
            await orders(client, f"{example.__name__}-a", 5)
            program.kill()
            await orders(client, f"{example.__name__}-b", 5)
            program.start()
            await until(lambda: len(program.rows) >= 15, 60)
            service.signal(signal.SIGUSR1)  # all that NATS stores is lost
            await orders(client, f"{example.__name__}-c", 5)
            program.kill()
            program.start()
            await orders(client, f"{example.__name__}-d", 5)
            await complete(service, program)
    await service.sound(60)


async def complete(service: Running, program: Program) -> None:
    """Until it has every order event of the log, once; what was not acknowledged comes again after 30 s."""
    wanted: Any = None

    async def all_told() -> bool:
        nonlocal wanted
        wanted = json.loads(await service.sql(OUR_ORDERS))
        return bool(program.rows == wanted)

    for _ in range(600):
        if await all_told():
            break
        await asyncio.sleep(0.1)
    found = program.rows
    missing = [row for row in wanted if row not in found]
    assert found == wanted, f"missing: {missing}, of {len(wanted)}; it said: {program.said}"


async def orders(client: httpx.AsyncClient, name: str, count: int) -> None:
    """Orders made and confirmed: three events each, sooner or later."""
    account = (await definite(client, "/v1/accounts", {"email": "a@example.com", "name": "A"}, name))["id"]
    body = {"name": "Teapot", "price_cents": 1250, "currency": "EUR"}
    item = (await definite(client, "/v1/items", body, name))["id"]

    async def one(number: int) -> None:
        wanted = {"account": account, "lines": [{"item": item, "quantity": 1}]}
        order = (await definite(client, "/v1/orders", wanted, f"{name}-{number}"))["id"]
        await definite(client, f"/v1/orders/{order}/confirm", {}, f"{name}-confirm-{number}")

    await asyncio.gather(*map(one, range(count)))
