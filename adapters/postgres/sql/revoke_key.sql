-- Neither of its secrets is valid any more.
UPDATE postcommit.keys
SET revoked_at = clock_timestamp(),
    old_hash = NULL,
    old_until = NULL
WHERE name = $1
  AND revoked_at IS NULL
RETURNING name
