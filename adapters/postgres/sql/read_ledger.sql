-- The facts at the positions after $1, in order, at most $2 of them, and no more once they have 8 MiB: whoever reads on
-- gets the rest. Each fact is found by its id: a join would read all events there are, once a page is a twentieth of
-- them.
SELECT position, id, stream, version, name, name_version, at, subject, data, personal, meta
FROM (
    SELECT l.position, e.id, e.stream, e.version, e.name, e.name_version, e.at, e.subject, e.data, e.personal, e.meta,
        sum(octet_length(e.data::text) + coalesce(octet_length(e.personal::text), 0)) OVER (
            ORDER BY l.position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
    FROM postcommit.ledger AS l
    CROSS JOIN LATERAL (SELECT * FROM postcommit.events WHERE id = l.event OFFSET 0) AS e
    WHERE l.position > $1::bigint AND l.position <= $1::bigint + $2::int
) AS facts
WHERE coalesce(bytes_before, 0) < 8 * 1024 * 1024
ORDER BY position
