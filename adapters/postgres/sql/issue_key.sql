-- A new key.
INSERT INTO postcommit.keys (hash, name, scope)
VALUES ($1, $2, $3)
RETURNING name
