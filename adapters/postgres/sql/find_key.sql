-- Whose key it is, by the hash of its secret or of the one before.
SELECT name, scope
FROM postcommit.keys
WHERE revoked_at IS NULL
  AND (hash = $1 OR (old_hash = $1 AND old_until > clock_timestamp()))
