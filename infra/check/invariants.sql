-- Each block is one invariant: its name, then a query that finds what breaks it. An empty answer is good.
-- name: accepted tasks exist
SELECT e.stream FROM postcommit.events AS e
WHERE e.version = 1 AND e.name IN ('task.queued', 'task.scheduled', 'task.waiting')
  AND NOT EXISTS (SELECT FROM postcommit.tasks AS t WHERE e.stream = 'task-' || t.id)
-- name: tasks were accepted
SELECT t.id FROM postcommit.tasks AS t
WHERE NOT EXISTS (SELECT FROM postcommit.events AS e WHERE e.stream = 'task-' || t.id AND e.version = 1)
-- name: answers with an idempotency key name tasks and accounts that exist
SELECT i.holder || ' ' || i.key FROM postcommit.idempotency AS i
WHERE i.status BETWEEN 200 AND 299 AND i.location LIKE '/v1/tasks/%'
  AND NOT EXISTS (SELECT FROM postcommit.tasks AS t WHERE '/v1/tasks/' || t.id = i.location)
UNION ALL
SELECT i.holder || ' ' || i.key FROM postcommit.idempotency AS i
WHERE i.status BETWEEN 200 AND 299 AND i.location LIKE '/v1/accounts/%'
  AND NOT EXISTS (SELECT FROM postcommit.events AS e WHERE e.stream = 'account-' || substr(i.location, 14))
-- name: every file that is held is known, and does not go
SELECT h.stream || ' ' || h.sha256 FROM postcommit.holds AS h
WHERE NOT EXISTS (SELECT FROM postcommit.files AS f WHERE f.sha256 = h.sha256 AND NOT f.going)
-- name: every fact is in the ledger or has its duty in the outbox
SELECT e.id FROM postcommit.events AS e
WHERE NOT EXISTS (SELECT FROM postcommit.ledger AS l WHERE l.event = e.id)
  AND NOT EXISTS (SELECT FROM postcommit.outbox AS o WHERE o.event = e.id)
-- name: nothing is in the ledger and in the outbox at once
SELECT o.event FROM postcommit.outbox AS o JOIN postcommit.ledger AS l USING (event)
-- name: the outbox is young
SELECT o.event FROM postcommit.outbox AS o JOIN postcommit.events AS e ON e.id = o.event
WHERE e.at < clock_timestamp() - interval '30 seconds'
-- name: the ledger is dense
SELECT max(position) - count(*) FROM postcommit.ledger HAVING max(position) <> count(*) OR min(position) <> 1
-- name: the ledger tells of facts that exist
SELECT l.position FROM postcommit.ledger AS l
WHERE NOT EXISTS (SELECT FROM postcommit.events AS e WHERE e.id = l.event)
-- name: versions are dense
SELECT stream FROM postcommit.events GROUP BY stream HAVING max(version) <> count(*) OR min(version) <> 1
-- name: versions ascend along positions
SELECT stream FROM (
    SELECT e.stream, e.version, lag(e.version) OVER (PARTITION BY e.stream ORDER BY l.position) AS before
    FROM postcommit.ledger AS l JOIN postcommit.events AS e ON e.id = l.event
) AS s WHERE version <> coalesce(before, 0) + 1
-- name: one terminal event a task
SELECT stream FROM postcommit.events
WHERE name IN ('task.completed', 'task.failed', 'task.cancelled') GROUP BY stream HAVING count(*) > 1
-- name: an ended task has its terminal event, and no other has one
SELECT t.id FROM postcommit.tasks AS t
LEFT JOIN postcommit.events AS e
    ON e.stream = 'task-' || t.id AND e.name IN ('task.completed', 'task.failed', 'task.cancelled')
WHERE e.name IS DISTINCT FROM CASE t.status
    WHEN 'complete' THEN 'task.completed' WHEN 'failed' THEN 'task.failed' WHEN 'cancelled' THEN 'task.cancelled' END
-- name: no expired lease is unrescued
SELECT id FROM postcommit.tasks
WHERE status = 'in_progress' AND lease_until < clock_timestamp() - interval '30 seconds'
-- name: what is due is dispatched
SELECT id FROM postcommit.tasks WHERE status = 'scheduled' AND due_at < clock_timestamp() - interval '30 seconds'
-- name: every open task has a driver
SELECT t.id FROM postcommit.tasks AS t
WHERE t.status = 'queued'
  AND NOT EXISTS (SELECT FROM postcommit.ledger AS l WHERE l.event = t.last_event)
  AND NOT EXISTS (SELECT FROM postcommit.outbox AS o WHERE o.event = t.last_event)
-- name: what waits has something to wait for
SELECT t.id FROM postcommit.tasks AS t
WHERE t.status = 'waiting' AND t.created_at < clock_timestamp() - interval '30 seconds' AND NOT EXISTS (
    SELECT FROM postcommit.tasks AS n
    WHERE n.id = ANY (t.needs)
      AND (n.finished_at IS NULL OR n.finished_at > clock_timestamp() - interval '30 seconds'))
-- name: what is needed exists
SELECT t.id FROM postcommit.tasks AS t CROSS JOIN unnest(t.needs) AS need
WHERE NOT EXISTS (SELECT FROM postcommit.tasks AS n WHERE n.id = need)
-- name: attempts are bounded
SELECT id FROM postcommit.tasks
WHERE stumbles > max_attempts OR lost > 19 OR (status = 'in_progress' AND attempt = 0) OR turn <> attempt
-- name: readers and mirror are not ahead of the ledger
SELECT name FROM postcommit.cursors
WHERE position > (SELECT coalesce(max(position), 0) FROM postcommit.ledger)
