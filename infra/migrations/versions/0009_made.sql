CREATE TABLE postcommit.made (
    source TEXT NOT NULL,
    operation TEXT NOT NULL,
    result JSON NOT NULL,
    CONSTRAINT made_key PRIMARY KEY (source, operation)
)
----
GRANT SELECT, INSERT, UPDATE, DELETE ON postcommit.made TO postcommit_app
----
INSERT INTO postcommit.cursors (name, position) SELECT 'made', coalesce(max(position), 0) FROM postcommit.ledger
