-- The facts at the positions after $1, in order, at most $2 of them.
SELECT l.position, e.id, e.stream, e.version, e.name, e.name_version, e.at, e.subject, e.data, e.personal, e.meta
FROM postcommit.ledger AS l
JOIN postcommit.events AS e ON e.id = l.event
WHERE l.position > $1::bigint AND l.position <= $1::bigint + $2::int
ORDER BY l.position
