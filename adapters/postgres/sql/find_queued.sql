-- What waits in these queues, for a worker that knows these kinds; the longest due first. Each queue is read by its index.
SELECT t.id
FROM unnest($1::text[]) AS q (queue)
CROSS JOIN LATERAL (
    SELECT id, due_at
    FROM postcommit.tasks
    WHERE status = 'queued' AND queue = q.queue AND kind = ANY ($2::text[])
    ORDER BY due_at, id
    LIMIT $3
) AS t
ORDER BY t.due_at, t.id
LIMIT $3
