-- Where the oldest task that is still queued became so.
SELECT l.position
FROM postcommit.tasks AS t
JOIN postcommit.ledger AS l ON l.event = t.last_event
WHERE t.status = 'queued'
ORDER BY l.position
LIMIT 1
