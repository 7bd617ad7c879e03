-- Tasks by id, with the position of their latest fact where it has one.
SELECT t.*, l.position
FROM postcommit.tasks AS t
LEFT JOIN postcommit.ledger AS l ON l.event = t.last_event
WHERE t.id = ANY ($1::uuid[])
