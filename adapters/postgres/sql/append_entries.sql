-- Writes entries of new streams: their idempotency keys, facts, outbox rows and task rows. Tells which entries were
-- written; the others found their idempotency key taken.
--   $1 entries       int[]    their numbers in this call; the other arrays name them
--   $2..$9           their idempotency keys, for those that have one
--   $10..$20         their facts, in order
--   $21..$38         their new tasks
WITH keyed AS MATERIALIZED (
    SELECT * FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::int[], $8::text[], $9::bytea[])
        AS k (entry, holder, route, key, fingerprint, status, location, body)
),
kept AS (
    INSERT INTO postcommit.idempotency (holder, route, key, fingerprint, status, location, body)
    SELECT holder, route, key, fingerprint, status, location, body
    FROM keyed
    ORDER BY holder, route, key, entry
    ON CONFLICT DO NOTHING
    RETURNING holder, route, key
),
written AS MATERIALIZED (
    SELECT entry FROM unnest($1::int[]) AS e (entry)
    WHERE entry NOT IN (SELECT entry FROM keyed)
    UNION ALL
    SELECT min(keyed.entry) FROM keyed JOIN kept USING (holder, route, key) GROUP BY holder, route, key
),
fact AS (
    INSERT INTO postcommit.events (id, stream, version, name, name_version, at, subject, data, personal, meta)
    SELECT f.id, f.stream, f.version, f.name, f.name_version, f.at, f.subject, f.data, f.personal, f.meta
    FROM unnest($10::int[], $11::uuid[], $12::text[], $13::int[], $14::text[], $15::int[], $16::timestamptz[],
                $17::text[], $18::json[], $19::json[], $20::json[])
        WITH ORDINALITY AS f (entry, id, stream, version, name, name_version, at, subject, data, personal, meta, nth)
    JOIN written USING (entry)
    ORDER BY f.nth
    RETURNING id
),
duty AS (
    INSERT INTO postcommit.outbox (event)
    SELECT fact.id
    FROM fact
    JOIN unnest($11::uuid[]) WITH ORDINALITY AS f (id, nth) USING (id)
    ORDER BY f.nth
),
task AS (
    INSERT INTO postcommit.tasks (id, version, status, kind, queue, request, personal, max_attempts, created_at, due_at,
        by, retry_of, last_event, request_id, correlation_id, traceparent, needs)
    SELECT t.id, t.version, t.status, t.kind, t.queue, t.request, t.personal, t.max_attempts, t.created_at, t.due_at,
        t.by, t.retry_of, t.last_event, t.request_id, t.correlation_id, t.traceparent, t.needs::uuid[]
    FROM unnest($21::int[], $22::uuid[], $23::int[], $24::text[], $25::text[], $26::text[], $27::json[], $28::json[],
                $29::int[], $30::timestamptz[], $31::timestamptz[], $32::text[], $33::uuid[], $34::uuid[], $35::text[],
                $36::text[], $37::text[], $38::text[])
        AS t (entry, id, version, status, kind, queue, request, personal, max_attempts, created_at, due_at,
              by, retry_of, last_event, request_id, correlation_id, traceparent, needs)
    JOIN written USING (entry)
)
SELECT entry FROM written
