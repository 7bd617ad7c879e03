-- The task $1 and every task that needs it, directly or through others; at most $2.
WITH RECURSIVE chain AS (
    SELECT $1::uuid AS id
    UNION
    SELECT t.id
    FROM chain
    JOIN postcommit.tasks AS t ON t.needs @> ARRAY[chain.id]
)
SELECT t.*
FROM (SELECT id FROM chain LIMIT $2::int) AS c
JOIN postcommit.tasks AS t USING (id)
