-- A heartbeat: extends the leases that are still held, and brings the latest progress. Tells what is still held, and
-- whether somebody asked to cancel it. Skips what another statement has locked: the next beat is near.
--   $1 task uuid[], $2 turn int[], $3 progress json[], $4 lease interval
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::json[]) AS w (id, turn, progress)
),
held AS MATERIALIZED (
    SELECT t.id, w.progress
    FROM (SELECT * FROM wanted ORDER BY id) AS w
    CROSS JOIN LATERAL (
        SELECT id
        FROM postcommit.tasks
        WHERE id = w.id AND turn = w.turn AND status = 'in_progress'
        FOR UPDATE SKIP LOCKED
    ) AS t
),
extended AS (
    UPDATE postcommit.tasks AS t
    SET lease_until = clock_timestamp() + $4::interval,
        progress = coalesce(held.progress, t.progress)
    FROM held
    WHERE t.id = held.id
)
SELECT t.id, t.cancel_requested IS NOT NULL AS cancel_requested
FROM postcommit.tasks AS t
JOIN wanted AS w ON w.id = t.id AND w.turn = t.turn
WHERE t.status = 'in_progress'
