-- Queued tasks whose bell was missed: delivered and not taken, or no longer in the stream. What the consumer has still
-- to deliver waits for its turn and is left alone.
--   $1 queues text[], $2 delivered up to position bigint[], $3 first position in the stream, $4 wait interval, $5 limit
SELECT t.id, t.queue
FROM postcommit.tasks AS t
JOIN unnest($1::text[], $2::bigint[]) AS d (queue, delivered) USING (queue)
JOIN postcommit.ledger AS l ON l.event = t.last_event
JOIN postcommit.events AS e ON e.id = t.last_event
WHERE t.status = 'queued'
  AND (l.position <= d.delivered OR l.position < $3::bigint)
  AND e.at < clock_timestamp() - $4::interval
ORDER BY t.due_at, t.id
LIMIT $5
