-- Files are about to get their names in the store ($1 their SHA-256, each once, $2 their bytes); no row for one that is being
-- removed just now.
INSERT INTO postcommit.files (sha256, size_bytes)
SELECT t.sha256, t.size_bytes
FROM unnest($1::text[], $2::bigint[]) AS t (sha256, size_bytes)
ORDER BY t.sha256
ON CONFLICT (sha256) DO UPDATE SET touched_at = clock_timestamp()
    WHERE NOT files.going
RETURNING sha256
