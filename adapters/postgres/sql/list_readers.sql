-- How far these readers are ($1 text[]), and how far behind: in facts, and in seconds since the first that is not applied.
SELECT c.name, c.position, head.position - c.position AS behind,
    coalesce(extract(epoch FROM clock_timestamp() - e.at), 0)::float8 AS behind_s
FROM postcommit.cursors AS c
CROSS JOIN (SELECT coalesce(max(position), 0) AS position FROM postcommit.ledger) AS head
LEFT JOIN postcommit.ledger AS l ON l.position = c.position + 1
LEFT JOIN postcommit.events AS e ON e.id = l.event
WHERE c.name = ANY ($1::text[])
ORDER BY c.name
