-- The other transactions that may have inserted into the outbox and have not ended.
SELECT coalesce(array_agg(DISTINCT virtualtransaction), '{}')
FROM pg_locks
WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation = 'postcommit.outbox'::regclass
  AND granted AND mode = 'RowExclusiveLock' AND pid IS DISTINCT FROM pg_backend_pid()
