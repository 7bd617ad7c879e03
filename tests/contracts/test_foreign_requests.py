"""Is a request from a foreign transaction held to what the REST API holds its own to?"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.http.shape import flaws
from adapters.postgres.database import Database
from adapters.postgres.kinds import register
from adapters.postgres.log import PostgresLog
from adapters.postgres.tasks import PostgresTasks
from domain.kind import Kind
from domain.record import Record
from infra.clock import new_id
from tests import making

Connected = Any  # an asyncpg connection
Foreign = Callable[[str, Any], str | None]  # asks for a task of a kind; answers with what the database says against it
ASK = "SELECT postcommit.request($1, $2::text::jsonb, $3)"


class Inner(Record, frozen=True):
    text: str
    address: str = ""


class Shape(Record, frozen=True):
    """One field of each sort that a kind's request may have."""

    count: Annotated[int, msgspec.Meta(ge=-3, lt=10)]
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    word: Annotated[str, msgspec.Meta(min_length=1, max_length=5, pattern="^[a-z]*$")] = "a"
    sort: Literal["s", "m", "l"] = "m"
    sure: bool | None = None
    owner: UUID | None = None
    inner: Inner | None = None
    items: Annotated[list[int | str], msgspec.Meta(max_length=3)] = []
    named: dict[str, float] = {}
    anything: Any = None


SHAPED = Kind(name="shaped", request=Shape, result=Shape)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-20, 20)
    | st.floats(-3, 3)
    | st.sampled_from(["", "a", "m", "abcdef", "A"])
    | st.just("0190c2a4-0000-7000-8000-000000000000"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["text", "address", "x"]), inner),
    max_leaves=5,
)
REQUESTS = st.dictionaries(st.sampled_from([*Shape.__struct_fields__, "unknown"]), VALUES) | st.fixed_dictionaries(
    {"count": st.integers(-5, 12)}, optional=dict.fromkeys(Shape.__struct_fields__[1:], VALUES)
)


@pytest.fixture
async def database(dsn: Callable[[str], str]) -> AsyncIterator[Database]:
    database = Database(dsn("postcommit"), 4)
    await register(database, [*making.KINDS.values()])
    yield database
    await database.close()


@pytest.fixture
async def client(database: Database) -> AsyncIterator[Connected]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@pytest.fixture
def foreign(dsn: Callable[[str], str]) -> Iterator[Foreign]:
    """Asks in a transaction that is rolled back."""
    with asyncio.Runner() as runner:
        connection = runner.run(_prepared(dsn("postcommit")))

        async def ask(kind: str, request: Any) -> str | None:
            trial = connection.transaction()
            await trial.start()
            try:
                await connection.fetchval(ASK, kind, json.dumps(request), None)
            except asyncpg.InvalidParameterValueError as error:
                return str(error)
            finally:
                await trial.rollback()
            return None

        yield lambda kind, request: runner.run(ask(kind, request))
        runner.run(connection.close())


async def _prepared(dsn: str) -> Connected:
    database = Database(dsn, 1)
    await register(database, [SHAPED])
    await database.close()
    return await asyncpg.connect(dsn)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(request_=REQUESTS)
def test_a_foreign_request_is_taken_exactly_if_the_rest_api_takes_it(
    foreign: Foreign, request_: dict[str, Any]
) -> None:
    refused = foreign("shaped", request_)
    assert (refused is None) == (flaws(request_, Shape) == []), refused


@pytest.mark.parametrize("sort", [[], ["m"], ["s", "m", "l"], [[]], {}])
def test_an_enum_takes_one_of_its_words_and_no_list_of_them(foreign: Foreign, sort: Any) -> None:
    assert "should be one of" in str(foreign("shaped", {"count": 1, "sort": sort}))
    assert flaws({"count": 1, "sort": sort}, Shape) != []


DEEP = "[" * 1_000 + "]" * 1_000


@pytest.mark.parametrize("payload", [DEEP, '{"a":' * 64 + "1" + "}" * 64, "9" * 5_000, "1" * 400 + ".5", "-1e309"])
async def test_what_no_reader_could_decode_is_refused(client: Connected, payload: str) -> None:
    """It would stand in the log for ever, and whoever reads the log would stumble over it."""
    before = await client.fetchval("SELECT count(*) FROM postcommit.events")
    with pytest.raises(asyncpg.InvalidParameterValueError, match=r"64 levels|too large"):
        await client.fetchval(ASK, "probe", f'{{"payload": {payload}}}', None)
    assert await client.fetchval("SELECT count(*) FROM postcommit.events") == before


@pytest.mark.parametrize("payload", ["[" * 62 + "]" * 62, "9" * 300, "1" * 300 + ".5", "0." + "3" * 5_000, "1e-400"])
async def test_what_is_just_small_enough_is_taken_and_can_be_read(
    database: Database, client: Connected, payload: str
) -> None:
    id = UUID(str(await client.fetchval(ASK, "probe", f'{{"payload": {payload}}}', None)))
    assert (await PostgresTasks(database).get([id]))[id].request.keys() == {"payload"}
    assert len(await PostgresLog(database).read(f"task-{id}")) == 1


async def test_a_row_that_cannot_be_decoded_hides_no_other(database: Database, client: Connected) -> None:
    """Whoever writes past every door must not keep the lifeline and the workers from their other tasks."""
    ids = [UUID(str(await client.fetchval(ASK, "probe", "{}", None))) for _ in range(3)]
    tasks = PostgresTasks(database)
    await client.execute(
        "UPDATE postcommit.tasks SET request = $2::text::json WHERE id = $1", ids[1], f'{{"x": {DEEP}}}'
    )
    held = await tasks.claim(ids, [new_id() for _ in ids], "w", ["probe"], -1.0, datetime.now(UTC))
    assert {one.id for one in held} == {ids[0], ids[2]}
    assert {id for id, _ in await tasks.expired(10)} == {ids[0], ids[2]}
