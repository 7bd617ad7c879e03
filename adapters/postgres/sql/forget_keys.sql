-- Idempotency keys older than seven days, a thousand at a time.
DELETE FROM postcommit.idempotency
WHERE (holder, route, key) IN (
    SELECT holder, route, key
    FROM postcommit.idempotency
    WHERE created_at < clock_timestamp() - interval '7 days'
    LIMIT 1000
)
RETURNING 1
