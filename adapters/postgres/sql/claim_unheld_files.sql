-- Files that nothing has held or touched for so long ($1 interval), at most $3: from now on nobody touches them before they are
-- gone. None while the reader has not reached $2, the ledger's head of a while ago, or an older fact waits for its number.
UPDATE postcommit.files
SET going = true
WHERE EXISTS (SELECT FROM postcommit.cursors WHERE name = 'files' AND position >= $2)
    AND NOT EXISTS (
        SELECT
        FROM (SELECT event FROM postcommit.outbox ORDER BY seq LIMIT 1) AS o
        JOIN postcommit.events AS e ON e.id = o.event
        WHERE e.at < clock_timestamp() - $1::interval / 2
    )
    AND sha256 IN (
        SELECT f.sha256
        FROM postcommit.files AS f
        WHERE f.touched_at < clock_timestamp() - $1::interval
            AND NOT EXISTS (SELECT FROM postcommit.holds AS h WHERE h.sha256 = f.sha256)
        ORDER BY f.touched_at
        LIMIT $3
        FOR UPDATE SKIP LOCKED
    )
RETURNING sha256
