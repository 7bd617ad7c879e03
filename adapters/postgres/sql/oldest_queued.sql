-- Where the oldest task of a queue that is still queued became so; no row where none is. The queued tasks come first:
-- walking the ledger until one of them turns up reads all of it.
WITH waiting AS MATERIALIZED (
    SELECT last_event FROM postcommit.tasks WHERE status = 'queued' AND queue = $1
),
numbered AS (
    SELECT min(l.position) AS position FROM waiting JOIN postcommit.ledger AS l ON l.event = waiting.last_event
)
SELECT position FROM numbered WHERE position IS NOT NULL
