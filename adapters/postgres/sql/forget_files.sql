-- These files ($1 text[]) are gone from the store.
WITH locked AS MATERIALIZED (
    SELECT sha256
    FROM postcommit.files
    WHERE sha256 = ANY ($1::text[]) AND going
    ORDER BY sha256
    FOR UPDATE
)
DELETE FROM postcommit.files
WHERE sha256 IN (SELECT sha256 FROM locked)
RETURNING sha256
