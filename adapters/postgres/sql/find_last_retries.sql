-- Each of the tasks $1 as it was retried last, in their order.
WITH RECURSIVE retries AS (
    SELECT nth, id FROM unnest($1::uuid[]) WITH ORDINALITY AS n (id, nth)
    UNION ALL
    SELECT r.nth, t.retried_as
    FROM retries AS r
    JOIN postcommit.tasks AS t ON t.id = r.id
    WHERE t.retried_as IS NOT NULL
)
SELECT t.*
FROM retries AS r
JOIN postcommit.tasks AS t USING (id)
WHERE t.retried_as IS NULL
ORDER BY r.nth
