-- The facts of the orders that were made from $1 to before $2 (ids of their first facts), behind $3, of one maker ($4) or of all
-- (NULL), at most $5 orders in their order; the log as it was at the position $6.
SELECT l.position, e.id, e.stream, e.version, e.name, e.name_version, e.at, e.subject, e.data, e.personal, e.meta
FROM (
    SELECT first.id, first.stream
    FROM postcommit.events AS first
    JOIN postcommit.ledger AS told ON told.event = first.id AND told.position <= $6
    WHERE first.version = 1 AND first.name NOT LIKE 'task.%' AND first.name = 'order.created'
        AND first.id >= $1 AND first.id < $2 AND first.id > $3
        AND ($4::text IS NULL OR first.meta ->> 'actor' = $4)
    ORDER BY first.id
    LIMIT $5
) AS page
JOIN postcommit.events AS e ON e.stream = page.stream
JOIN postcommit.ledger AS l ON l.event = e.id AND l.position <= $6
ORDER BY page.id, e.version
