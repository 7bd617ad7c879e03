-- Of the next $7 queued tasks of a queue, the longest due first, those whose bell was missed: delivered and not taken, or no
-- longer in the stream. What the consumer has still to deliver waits for its turn and is left alone. Every row looked at
-- is answered, so that the next look can begin behind it.
--   $1 queue, $2 delivered up to position, $3 first position in the stream, $4 least wait since it was queued interval,
--   $5, $6 begin behind this (due_at, id), $7 how many are looked at
SELECT t.id, t.due_at,
    l.position IS NOT NULL
        AND (l.position <= $2::bigint OR l.position < $3::bigint)
        AND e.at < clock_timestamp() - $4::interval AS unheard
FROM (
    SELECT id, due_at, last_event
    FROM postcommit.tasks
    WHERE status = 'queued' AND queue = $1::text AND (due_at, id) > ($5::timestamptz, $6::uuid)
    ORDER BY due_at, id
    LIMIT $7::int
) AS t
LEFT JOIN postcommit.ledger AS l ON l.event = t.last_event
LEFT JOIN postcommit.events AS e ON e.id = t.last_event
ORDER BY t.due_at, t.id
