-- Who stands still, or is further behind than $1: the cursors behind an older fact; the relay, where no leader was heard for so
-- long, where the next fact to be numbered is older, or where a task has been without its holder or due for so long.
SELECT c.name
FROM postcommit.cursors AS c
JOIN postcommit.ledger AS l ON l.position = c.position + 1
JOIN postcommit.events AS e ON e.id = l.event
WHERE e.at < clock_timestamp() - $1::interval
UNION ALL
SELECT 'relay'
WHERE NOT EXISTS (SELECT FROM postcommit.leader WHERE role = 'relay' AND heard_at > clock_timestamp() - $1::interval)
    OR EXISTS (
        SELECT
        FROM (SELECT event FROM postcommit.outbox ORDER BY seq LIMIT 1) AS o
        JOIN postcommit.events AS e ON e.id = o.event
        WHERE e.at < clock_timestamp() - $1::interval
    )
    OR EXISTS (SELECT FROM postcommit.tasks WHERE status = 'scheduled' AND due_at < clock_timestamp() - $1::interval)
