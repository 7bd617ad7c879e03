-- The key of this name, and the hashes of its secrets that are valid.
SELECT name, scope, hash, CASE WHEN old_until > clock_timestamp() THEN old_hash END AS old_hash
FROM postcommit.keys
WHERE name = $1 AND revoked_at IS NULL
