-- What waits in these queues, for a worker that knows these kinds; the longest due first.
SELECT id
FROM postcommit.tasks
WHERE status = 'queued' AND queue = ANY ($1::text[]) AND kind = ANY ($2::text[])
ORDER BY due_at, id
LIMIT $3
