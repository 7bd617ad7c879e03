-- When the next scheduled task is due.
SELECT due_at FROM postcommit.tasks WHERE status = 'scheduled' ORDER BY due_at LIMIT 1
