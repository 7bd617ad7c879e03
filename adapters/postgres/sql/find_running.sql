-- Which attempts ran when these streams stood before these versions: by stream, when they began.
--   $1 stream text[], $2 version int[]
SELECT s.stream, last.at
FROM unnest($1::text[], $2::int[]) AS s (stream, version)
CROSS JOIN LATERAL (
    SELECT e.name, e.at
    FROM postcommit.events AS e
    WHERE e.stream = s.stream AND e.version < s.version
        AND e.name IN ('task.started', 'task.stumbled', 'task.rescued')
    ORDER BY e.version DESC
    LIMIT 1
) AS last
WHERE last.name = 'task.started'
