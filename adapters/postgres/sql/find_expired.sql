-- Tasks whose holder was silent for longer than its lease.
SELECT *
FROM postcommit.tasks
WHERE status = 'in_progress' AND lease_until < clock_timestamp()
ORDER BY id
LIMIT $1
