-- Gives the next outbox rows, in order, the next positions. A position is handed out after the commit of its fact, so
-- no reader can pass one that appears later. Two relays at once are harmless: the second finds its positions taken.
--   $1 low bigint: every row up to it was moved long ago, and none can appear there any more
--   $2 the most rows to move
-- Answers with the numbers of the rows that were moved, and the last position then.
WITH chosen AS MATERIALIZED (
    SELECT max(seq) AS top FROM (SELECT seq FROM postcommit.outbox WHERE seq > $1::bigint ORDER BY seq LIMIT $2::int) AS o
),
moved AS (
    DELETE FROM postcommit.outbox
    WHERE seq > $1::bigint AND seq <= (SELECT top FROM chosen)
    RETURNING seq, event
),
numbered AS (
    INSERT INTO postcommit.ledger (position, event)
    SELECT (SELECT coalesce(max(position), 0) FROM postcommit.ledger) + row_number() OVER (ORDER BY seq), event
    FROM moved
    ORDER BY seq
)
SELECT coalesce(array_agg(seq), '{}') AS moved,
    (SELECT coalesce(max(position), 0) FROM postcommit.ledger) + count(*) AS last
FROM moved
