"""A log that has grown, written by SQL: what a service looks like that has run for a long time."""

from dataclasses import dataclass

import asyncpg

CHUNK = 50_000  # rows of one statement
HOT = 1_000  # streams that hold what tasks do not
ENDED = """
WITH new AS MATERIALIZED (
    SELECT n, uuidv7() AS task, uuidv7() AS queued, uuidv7() AS started, uuidv7() AS completed
    FROM generate_series(1, $2::int) AS n
),
fact AS MATERIALIZED (
    SELECT $1::bigint + 3 * (n - 1) + version AS position, id, 'task-' || task AS stream, version, name,
        'tasks.v1.default.noop.' || split_part(name, '.', 2) || '.' || task AS subject, data
    FROM new CROSS JOIN LATERAL (VALUES
        (queued, 1, 'task.queued', json_build_object('asked', json_build_object('kind', 'noop', 'queue', 'default',
            'request', $3::json, 'max_attempts', 5, 'by', 'client'))),
        (started, 2, 'task.started', '{"turn": 1, "attempt": 1, "worker": "worker-1"}'),
        (completed, 3, 'task.completed', '{"result": {"id": 1}}')) AS f (id, version, name, data)
),
event AS (
    INSERT INTO postcommit.events (id, stream, version, name, name_version, at, subject, data, meta)
    SELECT id, stream, version, name, 1, now(), subject, data, '{"actor": "client"}' FROM fact ORDER BY position
),
numbered AS (INSERT INTO postcommit.ledger (position, event) SELECT position, id FROM fact ORDER BY position)
INSERT INTO postcommit.tasks (id, version, status, kind, queue, request, max_attempts, attempt, turn, result,
    created_at, due_at, started_at, finished_at, by, last_event)
SELECT task, 3, 'complete', 'noop', 'default', $3::json, 5, 1, 1, '{"id": 1}', now(), now(), now(), now(), 'client',
    completed
FROM new ORDER BY n
"""
OPEN = """
WITH new AS MATERIALIZED (SELECT n, uuidv7() AS task, uuidv7() AS fact FROM generate_series(1, $2::int) AS n),
event AS (
    INSERT INTO postcommit.events (id, stream, version, name, name_version, at, subject, data, meta)
    SELECT fact, 'task-' || task, 1, 'task.scheduled', 1, now(), 'tasks.v1.default.noop.scheduled.' || task,
        json_build_object('due_at', now() + interval '30 days', 'asked', json_build_object('kind', 'noop',
            'queue', 'default', 'request', $3::json, 'max_attempts', 5, 'by', 'client')), '{"actor": "client"}'
    FROM new ORDER BY n
),
numbered AS (INSERT INTO postcommit.ledger (position, event) SELECT $1::bigint + n, fact FROM new ORDER BY n)
INSERT INTO postcommit.tasks (id, version, status, kind, queue, request, max_attempts, created_at, due_at, by,
    last_event)
SELECT task, 1, 'scheduled', 'noop', 'default', $3::json, 5, now(), now() + interval '30 days', 'client', fact
FROM new ORDER BY n
"""
LONG = """
WITH new AS MATERIALIZED (
    SELECT n, uuidv7() AS fact, md5('item ' || (n - 1) % $3::int)::uuid AS item, $4::int + (n - 1) / $3::int AS version
    FROM generate_series(1, $2::int) AS n
),
event AS (
    INSERT INTO postcommit.events (id, stream, version, name, name_version, at, subject, data, meta)
    SELECT fact, 'item-' || item, version, 'item.' || name, 1, now(), 'events.v1.item.' || name || '.' || item, data,
        '{"actor": "client"}'
    FROM new CROSS JOIN LATERAL (VALUES
        (true, 'created', json_build_object('details', $5::json)),
        (false, 'changed', json_build_object('before', $5::json, 'after', $5::json))) AS f (first, name, data)
    WHERE f.first = (version = 1)
    ORDER BY n
)
INSERT INTO postcommit.ledger (position, event) SELECT $1::bigint + n, fact FROM new ORDER BY n
"""

ITEM = '{"name": "A chair", "description": "", "price_cents": 4900, "currency": "EUR"}'


@dataclass(frozen=True, slots=True)
class Grown:
    """How many there are of each."""

    events: int
    ended: int  # tasks that are complete, three events each
    open: int  # tasks that are due in a month, one event each


async def fill(admin: str, grown: Grown, request: str) -> None:
    """Write them into an empty log, numbered. `request` is the JSON of every task."""
    connection = await asyncpg.connect(admin, command_timeout=3_600)
    await connection.execute("SET synchronous_commit = off")
    position = 0
    for many in _chunks(grown.ended):
        await connection.execute(ENDED, position, many, request)
        position += 3 * many
    for many in _chunks(grown.open):
        await connection.execute(OPEN, position, many, request)
        position += many
    version = 1
    for many in _chunks((grown.events - position) // HOT * HOT):
        await connection.execute(LONG, position, many, HOT, version, ITEM)
        position += many
        version += many // HOT
    for table in ("events", "ledger", "tasks"):
        await connection.execute(f"VACUUM (ANALYZE) postcommit.{table}")
    await connection.execute("CHECKPOINT")
    await connection.close()


def _chunks(many: int) -> list[int]:
    """Parts of CHUNK rows, the last one smaller."""
    return [min(CHUNK, many - begin) for begin in range(0, max(many, 0), CHUNK)]
