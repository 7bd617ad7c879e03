-- Ends the session that holds the advisory lock $1, if its leader was not heard for 5 s. Postgres frees the lock.
SELECT pg_terminate_backend(k.pid)
FROM pg_locks AS k
JOIN postcommit.leader AS l ON l.role = 'relay' AND l.pid = k.pid
WHERE k.locktype = 'advisory' AND k.granted AND k.classid = 0 AND k.objid = $1::bigint::oid
  AND l.heard_at < clock_timestamp() - interval '5 seconds'
