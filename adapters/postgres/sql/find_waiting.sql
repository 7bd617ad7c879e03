-- The next $3 waiting tasks after the id $2 that need one of the tasks $1.
SELECT *
FROM postcommit.tasks
WHERE status = 'waiting' AND needs && $1::uuid[] AND id > $2::uuid
ORDER BY id
LIMIT $3::int
