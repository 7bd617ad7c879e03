-- The figures of a range: of each bucket, and of all together (where begins_at is null). Of run times it tells the count,
-- and the buckets of the sketch in which the percentiles are. The reader's position is of the same moment.
--   $1 per text, $2 first timestamptz, $3 last timestamptz (the buckets begin there), $4 kind text (null: all)
WITH figures AS MATERIALIZED (
    SELECT begins_at, figure, label, bucket, value
    FROM postcommit.analytics
    WHERE per = $1::text AND begins_at >= $2::timestamptz AND begins_at <= $3::timestamptz
        AND ($4::text IS NULL OR label = $4::text OR figure IN ('signups', 'orders', 'orders_recorded', 'revenue'))
),
sums AS (
    SELECT begins_at, figure, label, sum(value) AS value
    FROM figures
    WHERE figure <> 'run'
    GROUP BY GROUPING SETS ((begins_at, figure, label), (figure, label))
),
sketches AS (
    SELECT begins_at, label, bucket, sum(value) AS value
    FROM figures
    WHERE figure = 'run'
    GROUP BY GROUPING SETS ((begins_at, label, bucket), (label, bucket))
),
ranked AS (
    SELECT begins_at, label, bucket,
        sum(value) OVER (PARTITION BY begins_at, label) AS count,
        sum(value) OVER (PARTITION BY begins_at, label ORDER BY bucket) AS up_to_here
    FROM sketches
)
SELECT begins_at, figure, label, value, NULL::int AS p50, NULL::int AS p90, NULL::int AS p99, NULL::int AS max
FROM sums
UNION ALL
SELECT begins_at, 'run', label, count,
    min(bucket) FILTER (WHERE up_to_here >= count * 0.50),
    min(bucket) FILTER (WHERE up_to_here >= count * 0.90),
    min(bucket) FILTER (WHERE up_to_here >= count * 0.99),
    max(bucket)
FROM ranked
GROUP BY begins_at, label, count
UNION ALL
SELECT NULL, 'position', '', position, NULL, NULL, NULL, NULL
FROM postcommit.cursors
WHERE name = 'analytics'
