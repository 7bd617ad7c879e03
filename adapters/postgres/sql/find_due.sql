-- Scheduled tasks that are due at $1.
SELECT *
FROM postcommit.tasks
WHERE status = 'scheduled' AND due_at <= $1::timestamptz
ORDER BY due_at
LIMIT $2
