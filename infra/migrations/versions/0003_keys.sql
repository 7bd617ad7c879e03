ALTER TABLE postcommit.keys
    ADD COLUMN old_hash BYTEA,
    ADD COLUMN old_until TIMESTAMP WITH TIME ZONE,
    ADD CONSTRAINT keys_old_hash_has_its_end CHECK ((old_hash IS NULL) = (old_until IS NULL))
----
CREATE UNIQUE INDEX keys_old_hash ON postcommit.keys (old_hash)
