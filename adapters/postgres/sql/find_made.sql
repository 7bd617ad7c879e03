-- What came of an operation ($2) on the file with this SHA-256 ($1), when it was done last.
SELECT result
FROM postcommit.made
WHERE source = $1 AND operation = $2
