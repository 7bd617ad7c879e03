-- The balance. One statement sees one snapshot, in which a fact is either in the ledger or in the outbox: never in both,
-- never in neither.
WITH folded AS (
    SELECT coalesce((SELECT position FROM postcommit.cursors WHERE name = 'balance'), 0) AS position
),
later AS (
    SELECT event FROM postcommit.ledger WHERE position > (SELECT position FROM folded)
    UNION ALL
    SELECT event FROM postcommit.outbox
),
counts AS (
    SELECT name, count FROM postcommit.balance
    UNION ALL
    SELECT CASE e.name
            WHEN 'task.completed' THEN 'complete'
            WHEN 'task.failed' THEN 'failed'
            WHEN 'task.cancelled' THEN 'cancelled'
            ELSE 'accepted'
        END, count(*)
    FROM later
    JOIN postcommit.events AS e ON e.id = later.event
    WHERE e.name IN ('task.completed', 'task.failed', 'task.cancelled') OR (e.version = 1 AND e.stream LIKE 'task-%')
    GROUP BY 1
)
SELECT
    (SELECT coalesce(max(position), 0) FROM postcommit.ledger) AS position,
    coalesce(sum(count) FILTER (WHERE name = 'accepted'), 0)::bigint AS accepted,
    coalesce(sum(count) FILTER (WHERE name = 'complete'), 0)::bigint AS complete,
    coalesce(sum(count) FILTER (WHERE name = 'failed'), 0)::bigint AS failed,
    coalesce(sum(count) FILTER (WHERE name = 'cancelled'), 0)::bigint AS cancelled,
    (SELECT count(*) FROM postcommit.tasks WHERE status = 'waiting')
        + (SELECT count(*) FROM postcommit.tasks WHERE status = 'scheduled')
        + (SELECT count(*) FROM postcommit.tasks WHERE status = 'queued')
        + (SELECT count(*) FROM postcommit.tasks WHERE status = 'in_progress') AS open
FROM counts
