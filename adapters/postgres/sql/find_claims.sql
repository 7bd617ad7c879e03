-- The claims that were written although their answer was lost: still held under the fact that made them.
--   $1 ids of the facts uuid[]
SELECT t.*
FROM postcommit.events AS e
JOIN postcommit.tasks AS t ON e.stream = 'task-' || t.id
WHERE e.id = ANY ($1::uuid[])
  AND e.name = 'task.started'
  AND t.status = 'in_progress'
  AND t.turn = (e.data ->> 'turn')::int
