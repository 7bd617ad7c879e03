CREATE TABLE postcommit.events (
    id UUID NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    name_version INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    subject TEXT NOT NULL,
    data JSON NOT NULL,
    personal JSON,
    meta JSON NOT NULL,
    CONSTRAINT events_id PRIMARY KEY (id),
    CONSTRAINT events_stream_version UNIQUE (stream, version),
    CONSTRAINT events_version_from_one CHECK (version >= 1),
    CONSTRAINT events_subject_of_tokens CHECK (subject ~ '^(events|tasks)\.v1(\.[A-Za-z0-9_-]{1,64}){3,4}$'),
    CONSTRAINT events_data_fits CHECK (octet_length(data::text) <= 589824),
    CONSTRAINT events_personal_fits CHECK (octet_length(personal::text) <= 589824),
    CONSTRAINT events_meta_fits CHECK (octet_length(meta::text) <= 8192)
)
----
CREATE TABLE postcommit.outbox (
    seq BIGINT GENERATED ALWAYS AS IDENTITY (CACHE 1),
    event UUID NOT NULL,
    CONSTRAINT outbox_seq PRIMARY KEY (seq)
)
 WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)
----
CREATE TABLE postcommit.ledger (
    position BIGINT NOT NULL,
    event UUID NOT NULL,
    CONSTRAINT ledger_position PRIMARY KEY (position),
    CONSTRAINT ledger_event UNIQUE (event)
)
----
CREATE TABLE postcommit.tasks (
    id UUID NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    request JSON NOT NULL,
    personal JSON,
    max_attempts INTEGER NOT NULL,
    attempt INTEGER DEFAULT 0 NOT NULL,
    stumbles INTEGER DEFAULT 0 NOT NULL,
    lost INTEGER DEFAULT 0 NOT NULL,
    turn INTEGER DEFAULT 0 NOT NULL,
    progress JSON,
    result JSON,
    error JSON,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    by TEXT NOT NULL,
    retry_of UUID,
    retried_as UUID,
    cancel_requested JSON,
    worker TEXT,
    lease_until TIMESTAMP WITH TIME ZONE,
    last_event UUID NOT NULL,
    request_id TEXT,
    correlation_id TEXT,
    traceparent TEXT,
    CONSTRAINT tasks_id PRIMARY KEY (id),
    CONSTRAINT tasks_status_known CHECK (status IN ('scheduled', 'queued', 'in_progress', 'complete', 'failed', 'cancelled')),
    CONSTRAINT tasks_lease_while_in_progress CHECK ((status = 'in_progress') = (lease_until IS NOT NULL)),
    CONSTRAINT tasks_finished_when_ended CHECK ((status IN ('complete', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT tasks_scheduled_have_due_at CHECK (status <> 'scheduled' OR due_at IS NOT NULL)
)
 WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)
----
CREATE INDEX tasks_by ON postcommit.tasks (by, id)
----
CREATE INDEX tasks_failed ON postcommit.tasks (id) WHERE status = 'failed'
----
CREATE INDEX tasks_in_progress ON postcommit.tasks (id) WHERE status = 'in_progress'
----
CREATE INDEX tasks_queued ON postcommit.tasks (queue, due_at, id) WHERE status = 'queued'
----
CREATE INDEX tasks_scheduled ON postcommit.tasks (due_at) WHERE status = 'scheduled'
----
CREATE TABLE postcommit.idempotency (
    holder TEXT NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    status INTEGER NOT NULL,
    location TEXT,
    body BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT idempotency_key PRIMARY KEY (holder, route, key)
)
----
CREATE INDEX idempotency_created_at ON postcommit.idempotency (created_at)
----
CREATE TABLE postcommit.kinds (
    name TEXT NOT NULL,
    queue TEXT NOT NULL,
    max_attempts INTEGER NOT NULL,
    schema JSONB NOT NULL,
    personal TEXT[] NOT NULL,
    CONSTRAINT kinds_name PRIMARY KEY (name)
)
----
CREATE TABLE postcommit.keys (
    hash BYTEA NOT NULL,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT keys_hash PRIMARY KEY (hash),
    CONSTRAINT keys_name UNIQUE (name),
    CONSTRAINT keys_scope_known CHECK (scope IN ('client', 'worker', 'auditor', 'operator'))
)
----
CREATE TABLE postcommit.cursors (
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT cursors_name PRIMARY KEY (name)
)
 WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500)
----
CREATE TABLE postcommit.leader (
    role TEXT NOT NULL,
    pid INTEGER NOT NULL,
    heard_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT leader_role PRIMARY KEY (role)
)
 WITH (fillfactor = 10)
----
CREATE TABLE postcommit.epochs (
    id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    position BIGINT NOT NULL,
    reason TEXT NOT NULL,
    CONSTRAINT epochs_id PRIMARY KEY (id)
)
----
CREATE TABLE postcommit.audit (
    position BIGINT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    address TEXT,
    request_id TEXT,
    CONSTRAINT audit_position PRIMARY KEY (position)
)
----
CREATE INDEX audit_actor ON postcommit.audit (actor, position)
----
CREATE INDEX audit_subject ON postcommit.audit (subject, position)
----
CREATE TABLE postcommit.balance (
    name TEXT NOT NULL,
    count BIGINT NOT NULL,
    CONSTRAINT balance_name PRIMARY KEY (name)
)
 WITH (fillfactor = 10)
