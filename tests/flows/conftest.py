"""The REST API on a real Postgres, without a server before it: what comes in and what is stored can both be seen."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar

from adapters.http.app import create_app
from adapters.http.service import Service
from adapters.postgres import readers
from adapters.postgres.database import Database
from adapters.postgres.leadership import Leadership
from adapters.postgres.log import PostgresLog
from adapters.postgres.tasks import PostgresTasks
from infra.clock import Clock
from infra.roles.api import checks, intake_of, service_of
from infra.settings import Settings
from tests import making

HOLDERS = {"operator": "operator", "client": "client", "other": "client", "worker": "worker", "auditor": "auditor"}
Change = Callable[[Service], Service]


@dataclass(slots=True)
class Api:
    """The API, its database, and everything that it rang."""

    app: Litestar
    service: Service
    database: Database
    dsn: str
    rung: list[Mapping[str, list[UUID]]]

    def by(self, holder: str | None, **headers: str) -> AsyncClient:
        """A client with the key of that holder."""
        known = {"Authorization": f"Bearer secret-of-{holder}"} if holder else {}
        transport = ASGITransport(app=self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        return AsyncClient(transport=transport, base_url="http://api", headers=known | headers)

    @property
    def operator(self) -> AsyncClient:
        return self.by("operator")

    @property
    def tasks(self) -> PostgresTasks:
        return PostgresTasks(self.database)

    async def sql(self, query: str, *arguments: Any) -> Any:
        async with self.database.driver() as connection:
            return await connection.fetchval(query, *arguments)

    async def stored(self) -> int:
        """How many facts and answers there are."""
        counts = "SELECT (SELECT count(*) FROM postcommit.events) + (SELECT count(*) FROM postcommit.idempotency)"
        return int(await self.sql(counts))

    async def number(self) -> None:
        """Do the relay's part: give every fact its position."""
        async with await Leadership.open(self.dsn) as leadership:
            while await leadership.sequence(1_000):
                pass

    async def fold(self, reader: str) -> None:
        """Do a reader's part."""
        while await readers.step(self.database, reader):
            pass

    async def claim(self, id: str) -> None:
        """Do a worker's part: take the task."""
        clock = Clock()
        held = await self.tasks.claim([UUID(id)], [clock.new_id()], "w1", ["probe"], 10.0, clock.now())
        assert len(held) == 1


@asynccontextmanager
async def running(dsn: str, change: Change = lambda service: service) -> AsyncIterator[Api]:
    database, health = Database(dsn, 8), Database(dsn, 1)
    rung: list[Mapping[str, list[UUID]]] = []
    folder = tempfile.TemporaryDirectory()
    service = service_of(database, PostgresLog(database), checks(health, lambda: True), rung.append)
    service = change(replace(service, intake=intake_of(Settings(files=folder.name), database)))
    for name, scope in HOLDERS.items():
        await making.key(database, name, scope, f"secret-of-{name}")
    app = create_app(service)
    try:
        async with app.lifespan():
            yield Api(app, service, database, dsn, rung)
    finally:
        await health.close()
        await database.close()
        folder.cleanup()


@pytest.fixture
async def api(dsn: Callable[[str], str]) -> AsyncIterator[Api]:
    async with living(dsn("postcommit")) as api:
        yield api


@asynccontextmanager
async def living(dsn: str, change: Change = lambda service: service) -> AsyncIterator[Api]:
    """One task enters and leaves the application: its lifespan insists on that, and fixtures do not."""
    ready: asyncio.Future[Api] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def live() -> None:
        async with running(dsn, change) as api:
            ready.set_result(api)
            await over.wait()

    living = asyncio.create_task(live())
    living.add_done_callback(lambda _: ready.done() or ready.cancel())
    yield await ready
    over.set()
    await living
