-- Takes queued tasks for one worker: the row, its fact and its duty at once. A task that is not queued, or is of a kind
-- that this worker does not know, is left alone. Each row is found by its id, and locked in that order: a join would
-- read every queued task, once the planner takes them for few.
--   $1 task uuid[], $2 ids of the facts uuid[] (chosen before, so that a claim can be found again after a lost answer),
--   $3 worker text, $4 kinds text[], $5 lease interval, $6 at timestamptz
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS w (id, event)
),
free AS MATERIALIZED (
    SELECT t.id, w.event, t.cause
    FROM (SELECT * FROM wanted ORDER BY id) AS w
    CROSS JOIN LATERAL (
        SELECT id, last_event AS cause
        FROM postcommit.tasks
        WHERE id = w.id AND status = 'queued' AND kind = ANY ($4::text[])
        FOR UPDATE SKIP LOCKED
    ) AS t
),
claimed AS (
    UPDATE postcommit.tasks AS t
    SET status = 'in_progress',
        version = t.version + 1,
        turn = t.turn + 1,
        attempt = t.attempt + 1,
        worker = $3::text,
        started_at = $6::timestamptz,
        lease_until = clock_timestamp() + $5::interval,
        progress = NULL,
        last_event = free.event
    FROM free
    WHERE t.id = free.id
    RETURNING t.*, free.cause
),
event AS (
    INSERT INTO postcommit.events (id, stream, version, name, name_version, at, subject, data, meta)
    SELECT last_event, 'task-' || id, version, 'task.started', 1, started_at,
        'tasks.v1.' || queue || '.' || kind || '.started.' || id,
        json_build_object('turn', turn, 'attempt', attempt, 'worker', worker),
        json_strip_nulls(json_build_object('actor', 'worker/' || worker, 'request_id', request_id,
            'correlation_id', correlation_id, 'causation_id', cause, 'traceparent', traceparent))
    FROM claimed
    RETURNING id
),
duty AS (
    INSERT INTO postcommit.outbox (event) SELECT id FROM event
)
SELECT * FROM claimed
