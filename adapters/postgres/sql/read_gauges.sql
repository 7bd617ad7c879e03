-- What a scrape is told of the database, as rows (name, labels, value). Counts stop at $1; $2 text[] are the
-- queues. Nothing here grows with the log; only tasks_total grows, with days times kinds: a quarter of a second after five
-- years of twelve kinds.
WITH marks AS MATERIALIZED (
    SELECT clock_timestamp() AS now, (SELECT coalesce(max(position), 0) FROM postcommit.ledger) AS head
)
SELECT 'log_position' AS name, '{}'::text[] AS labels, head::float8 AS value FROM marks
UNION ALL
SELECT 'outbox_depth', '{}', (SELECT count(*) FROM (SELECT FROM postcommit.outbox LIMIT $1::int) AS o)
UNION ALL
SELECT 'outbox_oldest_seconds', '{}', coalesce((
    SELECT extract(epoch FROM marks.now - e.at)
    FROM (SELECT event FROM postcommit.outbox ORDER BY seq LIMIT 1) AS o
    JOIN postcommit.events AS e ON e.id = o.event), 0)
FROM marks
UNION ALL
SELECT 'relay_silent_seconds', '{}', extract(epoch FROM marks.now - l.heard_at)
FROM marks CROSS JOIN postcommit.leader AS l WHERE l.role = 'relay'
UNION ALL
SELECT 'cursor_position', ARRAY[c.name], c.position FROM postcommit.cursors AS c
UNION ALL
SELECT 'cursor_behind', ARRAY[c.name], marks.head - c.position FROM marks CROSS JOIN postcommit.cursors AS c
UNION ALL
SELECT 'cursor_behind_seconds', ARRAY[c.name], coalesce(extract(epoch FROM marks.now - e.at), 0)
FROM marks
CROSS JOIN postcommit.cursors AS c
LEFT JOIN postcommit.ledger AS l ON l.position = c.position + 1
LEFT JOIN postcommit.events AS e ON e.id = l.event
UNION ALL
SELECT 'tasks', ARRAY['waiting'], (SELECT count(*) FROM (SELECT FROM postcommit.tasks WHERE status = 'waiting' LIMIT $1::int) AS t)
UNION ALL
SELECT 'tasks', ARRAY['scheduled'], (SELECT count(*) FROM (SELECT FROM postcommit.tasks WHERE status = 'scheduled' LIMIT $1::int) AS t)
UNION ALL
SELECT 'tasks', ARRAY['queued'], (SELECT count(*) FROM (SELECT FROM postcommit.tasks WHERE status = 'queued' LIMIT $1::int) AS t)
UNION ALL
SELECT 'tasks', ARRAY['in_progress'], (SELECT count(*) FROM (SELECT FROM postcommit.tasks WHERE status = 'in_progress' LIMIT $1::int) AS t)
UNION ALL
SELECT 'queue_oldest_seconds', ARRAY[q.queue], coalesce((
    SELECT greatest(extract(epoch FROM marks.now - t.due_at), 0)
    FROM postcommit.tasks AS t WHERE t.status = 'queued' AND t.queue = q.queue ORDER BY t.due_at LIMIT 1), 0)
FROM marks CROSS JOIN unnest($2::text[]) AS q (queue)
UNION ALL
SELECT 'tasks_total', ARRAY[a.label, a.figure], sum(a.value)
FROM postcommit.analytics AS a
WHERE a.per = 'day' AND a.figure IN ('accepted', 'complete', 'failed', 'cancelled', 'stumbled', 'rescued')
GROUP BY a.label, a.figure
