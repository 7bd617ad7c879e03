CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA postcommit
----
CREATE TABLE postcommit.search (
    category TEXT NOT NULL,
    id UUID NOT NULL,
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT search_key PRIMARY KEY (category, id)
)
----
CREATE INDEX search_words ON postcommit.search USING gin (to_tsvector('simple'::regconfig, title || ' ' || body))
----
CREATE INDEX search_title ON postcommit.search USING gin (title postcommit.gin_trgm_ops)
----
CREATE TABLE postcommit.search_next (
    category TEXT NOT NULL,
    id UUID NOT NULL,
    owner TEXT NOT NULL,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT search_next_key PRIMARY KEY (category, id)
)
----
CREATE INDEX search_next_words ON postcommit.search_next USING gin (to_tsvector('simple'::regconfig, title || ' ' || body))
----
CREATE INDEX search_next_title ON postcommit.search_next USING gin (title postcommit.gin_trgm_ops)
----
CREATE TABLE postcommit.search_rebuild (
    one BOOLEAN DEFAULT true NOT NULL,
    task UUID NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT search_rebuild_one PRIMARY KEY (one),
    CONSTRAINT search_rebuild_is_one CHECK (one)
)
----
GRANT SELECT, INSERT, UPDATE, DELETE ON postcommit.search, postcommit.search_rebuild TO postcommit_app
----
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON postcommit.search_next TO postcommit_app
----
CREATE FUNCTION postcommit.swap_search() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
-- The index that was built anew takes the place of the old one; whoever asks meanwhile waits for a moment.
BEGIN
    LOCK TABLE postcommit.search, postcommit.search_next IN ACCESS EXCLUSIVE MODE;
    ALTER TABLE postcommit.search RENAME TO search_old;
    ALTER TABLE postcommit.search_next RENAME TO search;
    ALTER TABLE postcommit.search_old RENAME TO search_next;
    REVOKE TRUNCATE ON postcommit.search FROM postcommit_app;
    GRANT TRUNCATE ON postcommit.search_next TO postcommit_app;
END
$$
----
REVOKE ALL ON FUNCTION postcommit.swap_search() FROM PUBLIC
----
GRANT EXECUTE ON FUNCTION postcommit.swap_search() TO postcommit_app
----
INSERT INTO postcommit.cursors (name, position) VALUES ('search', 0)
