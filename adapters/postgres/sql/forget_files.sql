-- These files ($1 text[]) are gone from the store.
DELETE FROM postcommit.files
WHERE sha256 = ANY ($1::text[]) AND going
RETURNING sha256
