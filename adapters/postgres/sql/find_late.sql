-- Who stands still: the cursors behind a fact that is older than $1, and the relay where no leader was heard for so long.
SELECT c.name
FROM postcommit.cursors AS c
JOIN postcommit.ledger AS l ON l.position = c.position + 1
JOIN postcommit.events AS e ON e.id = l.event
WHERE e.at < clock_timestamp() - $1::interval
UNION ALL
SELECT 'relay'
WHERE NOT EXISTS (SELECT FROM postcommit.leader WHERE role = 'relay' AND heard_at > clock_timestamp() - $1::interval)
