CREATE TABLE postcommit.consumers (
    name TEXT NOT NULL,
    filter TEXT NOT NULL,
    position BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    removed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT consumers_name PRIMARY KEY (name),
    CONSTRAINT consumers_filter_of_tokens CHECK (filter ~ '^(events|tasks)\.v1(\.([A-Za-z0-9_-]{1,64}|\*)){0,4}(\.>)?$')
)
----
GRANT SELECT, INSERT, UPDATE ON postcommit.consumers TO postcommit_app
