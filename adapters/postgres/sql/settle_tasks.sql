-- Writes what was decided about tasks that exist, each behind its fence. Tells which were written, and at which version.
--   $1 task uuid[], $2 version int[] (null: any), $3 turn int[] (null: any, else it must still be held under this turn),
--   $4 uncancelled bool[] (only while nobody has asked to cancel), $5 expired bool[] (only after its lease)
--   $6..$15 the row as it is after the facts
--   $16..$23 the facts: task, id, name, name_version, at, data, subject, meta (null: the row's own, caused by $24 actor)
-- The holder's writes are fenced by turn only: a version that moved meanwhile takes nothing from it.
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[], $4::bool[], $5::bool[], $6::text[], $7::timestamptz[],
                         $8::timestamptz[], $9::json[], $10::json[], $11::json[], $12::int[], $13::int[], $14::uuid[],
                         $15::json[])
        AS w (id, version, turn, uncancelled, expired, status, due_at, finished_at, result, error, progress,
              stumbles, lost, retried_as, cancel_requested)
),
held AS MATERIALIZED (
    SELECT t.*
    FROM (SELECT * FROM wanted ORDER BY id) AS w
    CROSS JOIN LATERAL (
        SELECT id, version, last_event, request_id, correlation_id, traceparent
        FROM postcommit.tasks
        WHERE id = w.id
          AND (w.version IS NULL OR version = w.version)
          AND (w.turn IS NULL OR (status = 'in_progress' AND turn = w.turn))
          AND (NOT w.uncancelled OR cancel_requested IS NULL)
          AND (NOT w.expired OR lease_until < clock_timestamp())
        FOR UPDATE
    ) AS t
),
fact AS MATERIALIZED (
    SELECT f.*, held.version + row_number() OVER (PARTITION BY f.task ORDER BY f.nth) AS version,
        coalesce(lag(f.id) OVER (PARTITION BY f.task ORDER BY f.nth), held.last_event) AS causation_id,
        held.request_id, held.correlation_id, held.traceparent
    FROM unnest($16::uuid[], $17::uuid[], $18::text[], $19::int[], $20::timestamptz[], $21::json[], $22::text[],
                $23::json[])
        WITH ORDINALITY AS f (task, id, name, name_version, at, data, subject, meta, nth)
    JOIN held ON held.id = f.task
),
event AS (
    INSERT INTO postcommit.events (id, stream, version, name, name_version, at, subject, data, meta)
    SELECT id, 'task-' || task, version, name, name_version, at, subject, data,
        coalesce(meta, json_strip_nulls(json_build_object('actor', $24::text, 'request_id', request_id,
            'correlation_id', correlation_id, 'causation_id', causation_id, 'traceparent', traceparent)))
    FROM fact
    ORDER BY nth
    RETURNING id
),
duty AS (
    INSERT INTO postcommit.outbox (event)
    SELECT id FROM event JOIN fact USING (id) ORDER BY fact.nth
),
last AS (
    SELECT DISTINCT ON (task) task, id, version FROM fact ORDER BY task, version DESC
)
UPDATE postcommit.tasks AS t
SET version = last.version,
    last_event = last.id,
    status = w.status,
    due_at = w.due_at,
    finished_at = w.finished_at,
    result = w.result,
    error = w.error,
    progress = w.progress,
    stumbles = w.stumbles,
    lost = w.lost,
    retried_as = w.retried_as,
    cancel_requested = coalesce(w.cancel_requested, t.cancel_requested),
    worker = CASE WHEN w.status = 'in_progress' THEN t.worker END,
    lease_until = CASE WHEN w.status = 'in_progress' THEN t.lease_until END
FROM wanted AS w
JOIN last ON last.task = w.id
WHERE t.id = w.id
RETURNING t.id, t.version
