CREATE TABLE postcommit.files (
    sha256 TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    touched_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    going BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT files_sha256 PRIMARY KEY (sha256),
    CONSTRAINT files_sha256_is_one CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT files_size_from_zero CHECK (size_bytes >= 0)
)
----
CREATE INDEX files_touched_at ON postcommit.files (touched_at)
----
CREATE TABLE postcommit.holds (
    stream TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    CONSTRAINT holds_key PRIMARY KEY (stream, sha256)
)
----
CREATE INDEX holds_sha256 ON postcommit.holds (sha256)
----
GRANT SELECT, INSERT, UPDATE, DELETE ON postcommit.files, postcommit.holds TO postcommit_app
----
INSERT INTO postcommit.cursors (name, position) SELECT 'files', coalesce(max(position), 0) FROM postcommit.ledger
----
CREATE INDEX events_of_things ON postcommit.events (name, id)
WHERE version = 1 AND name NOT LIKE 'task.%'
----
CREATE INDEX events_of_their_owners ON postcommit.events (name, (meta ->> 'actor'), id)
WHERE version = 1 AND name NOT LIKE 'task.%'
