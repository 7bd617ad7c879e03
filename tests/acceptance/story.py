"""Consumers that live through one story at once: the examples of the documentation, run as they are, and one that was
written from its page alone. They start late, are killed, and the stream is wiped."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.nats.api import call
from tests.acceptance.reading import Reader
from tests.acceptance.running import Running, definite
from tests.waiting import until, until_told

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
FILTER = "events.v1.order.>"
FACTS = """
SELECT json_agg(json_build_array(l.position, e.id) ORDER BY l.position)
FROM postcommit.ledger l JOIN postcommit.events e ON e.id = l.event
WHERE e.subject LIKE $1 || '%'
"""
DURABLE = "CONSUMER.INFO.LOG.consumer-events"
PERSON = {"email": "ada.lovelace@example.org", "name": "Ada Lovelace"}
BEFORE = 10  # orders, before anybody reads
ALL = 3 * (BEFORE + 5 + 5 + 5)  # events of orders, at the end
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
            self.process = None

    @property
    def rows(self) -> list[Row]:
        return self.kept(self.file)

    @property
    def said(self) -> str:
        return self.file.with_suffix(".log").read_text(errors="replace")[-2_000:]


class Missing(Exception):
    """What an example needs is not installed here."""


def consumer(service: Running, name: str, filter: str = FILTER) -> dict[str, str]:
    """Add it by the command line, as an operator does; gives the environment of its program."""
    arguments = ["consumers", "add", name, "--filter", filter, "--home", str(service.home), "--json"]
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
        raise Missing("There is no node and npm here: the JavaScript example was not run.")
    for name in ("package.json", "consumer.mjs"):
        shutil.copy(EXAMPLES / name, folder)
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise Missing(f"npm could not get the packages: the JavaScript example was not run. {done.stderr[-300:]}")
    environ = consumer(service, "reporting")
    return Program(["node", "consumer.mjs"], folder / "reporting.ndjson", of_lines, environ, folder)


def shell(service: Running, folder: Path) -> Program:
    if shutil.which("curl") is None:
        raise Missing("There is no curl here: the example for the shell was not run.")
    told = service.told
    environ = {"URL": told["http"], "KEY": told["keys"]["auditor"]}
    return Program(["sh", str(EXAMPLES / "follow.sh"), "events.v1.order."], folder / "o.tsv", of_columns, environ)


EXAMPLES_OF = {"nats_py": nats_py, "faststream": faststream, "javascript": javascript, "shell": shell}


@dataclass
class Story:
    """What came of it."""

    programs: Mapping[str, Program | Missing]
    readers: Mapping[str, Reader]
    facts: Mapping[str, list[Row]]  # of the log, by the begin of their subjects
    schemas: Mapping[str, Any]  # by their addresses, as consumers are told them
    made_anew: int  # where a durable began again when the stream had been wiped


async def lived(service: Running, paths: pytest.TempPathFactory) -> Story:
    """They start late, are killed and started again, and the stream is wiped meanwhile."""
    async with service.client(timeout=10.0) as client:
        await orders(client, "early", BEFORE)
        found, urls = await added(service, paths)
        programs = [one for one in found.values() if isinstance(one, Program)]
        readers = {name: Reader(name, url) for name, url in urls.items()}
        try:
            for one in (*programs, *readers.values()):
                one.start()
            await until(lambda: all(len(one.rows) >= BEFORE for one in programs), 60)
            await until(lambda: all(len(one.kept) >= BEFORE for one in readers.values()), 60)
            await killed(programs, readers)
            await orders(client, "a", 5)
            for one in (*programs, *readers.values()):
                one.start()
            await until_told(lambda: service.sql("SELECT position > 0 FROM postcommit.consumers WHERE name = 'events'"))
            service.signal(signal.SIGUSR1)  # all that NATS stores is lost
            await orders(client, "b", 5)
            await killed(programs, readers)
            for one in (*programs, *readers.values()):
                one.start()
            await orders(client, "c", 5)
            facts = await complete(service, programs, readers)
            addresses = {told.headers["ce-dataschema"] for one in readers.values() for told in one.kept.values()}
            schemas = {address: (await client.get(address)).json() for address in addresses}
            async with service.nats() as nats:
                made_anew = (await call(nats, DURABLE))["config"]["opt_start_seq"]
        finally:
            await killed(programs, readers)
    await service.sound(60)
    return Story(found, readers, facts, schemas, made_anew)


async def added(
    service: Running, paths: pytest.TempPathFactory
) -> tuple[Mapping[str, Program | Missing], Mapping[str, str]]:
    """The programs, and where readers connect; all are added at once, by many operators."""
    filters = {"events": "events.v1.>", "tasks": "tasks.v1.>"}
    folders = {name: paths.mktemp(name) for name in EXAMPLES_OF}
    programs = [asyncio.to_thread(made, EXAMPLES_OF[name], service, folders[name]) for name in EXAMPLES_OF]
    readers = [asyncio.to_thread(consumer, service, name, filter) for name, filter in filters.items()]
    found, told = await asyncio.gather(asyncio.gather(*programs), asyncio.gather(*readers))
    urls = {name: one["NATS_URL"] for name, one in zip(filters, told, strict=True)}
    return dict(zip(EXAMPLES_OF, found, strict=True)), urls


def made(example: Callable[[Running, Path], Program], service: Running, folder: Path) -> Program | Missing:
    try:
        return example(service, folder)
    except Missing as missing:
        return missing


async def killed(programs: list[Program], readers: Mapping[str, Reader]) -> None:
    for program in programs:
        program.kill()
    for reader in readers.values():
        await reader.kill()


async def complete(service: Running, programs: list[Program], readers: Mapping[str, Reader]) -> dict[str, list[Row]]:
    """Until everybody has what the log has, or the time is over. What was not acknowledged comes again after 30 s."""
    begins = {"order": "events.v1.order.", "events": "events.v1.", "tasks": "tasks.v1."}
    facts: dict[str, list[Row]] = {}
    for _ in range(600):
        facts = {name: json.loads(await service.sql(FACTS, begin)) for name, begin in begins.items()}
        told = [one.rows == facts["order"] for one in programs]
        if (
            len(facts["order"]) == ALL
            and all(told)
            and all(len(one.kept) == len(facts[name]) for name, one in readers.items())
        ):
            break
        await asyncio.sleep(0.1)
    return facts


async def orders(client: httpx.AsyncClient, name: str, count: int) -> None:
    """Orders made and confirmed: three events each, sooner or later."""
    account = (await definite(client, "/v1/accounts", PERSON, name))["id"]
    body = {"name": "Teapot", "price_cents": 1250, "currency": "EUR"}
    item = (await definite(client, "/v1/items", body, name))["id"]

    async def one(number: int) -> None:
        wanted = {"account": account, "lines": [{"item": item, "quantity": 1}]}
        order = (await definite(client, "/v1/orders", wanted, f"{name}-{number}"))["id"]
        await definite(client, f"/v1/orders/{order}/confirm", {}, f"{name}-confirm-{number}")

    await asyncio.gather(*map(one, range(count)))
