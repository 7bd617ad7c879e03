-- All facts of the streams $1, each stream in the order of its versions, with their positions where they have one.
SELECT l.position, e.id, e.stream, e.version, e.name, e.name_version, e.at, e.subject, e.data, e.personal, e.meta
FROM postcommit.events AS e
LEFT JOIN postcommit.ledger AS l ON l.event = e.id
WHERE e.stream = ANY ($1::text[])
ORDER BY e.stream, e.version
