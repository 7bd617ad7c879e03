-- A file is about to get its name in the store ($1 its SHA-256, $2 its bytes); no row where it is being removed just now.
INSERT INTO postcommit.files (sha256, size_bytes)
VALUES ($1, $2)
ON CONFLICT (sha256) DO UPDATE SET touched_at = clock_timestamp()
    WHERE NOT files.going
RETURNING sha256
