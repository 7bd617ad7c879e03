-- Another secret; the one before stays valid for $3.
UPDATE postcommit.keys
SET hash = $1,
    old_hash = CASE WHEN $3 > interval '0' THEN hash END,
    old_until = CASE WHEN $3 > interval '0' THEN clock_timestamp() + $3 END
WHERE name = $2
  AND revoked_at IS NULL
RETURNING name
