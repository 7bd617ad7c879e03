-- The next $6 queued tasks of a queue behind a place, the longest due first, and whether the bell of each was missed: it was
-- delivered and the task not taken, or it is no longer in the stream. What the consumer has still to deliver waits for
-- its turn. Every row looked at is answered, so that the next look can begin behind it.
--   $1 queue, $2 delivered up to position, $3 first position in the stream, $4, $5 the place (due_at, id)
SELECT t.id, t.due_at, l.position, l.position <= $2::bigint OR l.position < $3::bigint AS unheard
FROM (
    SELECT id, due_at, last_event
    FROM postcommit.tasks
    WHERE status = 'queued' AND queue = $1::text AND (due_at, id) > ($4::timestamptz, $5::uuid)
    ORDER BY due_at, id
    LIMIT $6::int
) AS t
LEFT JOIN postcommit.ledger AS l ON l.event = t.last_event
ORDER BY t.due_at, t.id
