-- As much of these tasks as tells whether they have changed.
SELECT id, status, version, progress
FROM postcommit.tasks
WHERE id = ANY ($1::uuid[])
