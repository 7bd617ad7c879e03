"""The tables. Alembic makes them; a test shows that its migrations and this page agree."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from domain.record import MOST_JSON

SCHEMA = "postcommit"
MOST_DATA = MOST_JSON + 64 * 1024  # bytes of one fact: a request or a result and what stands around it
MOST_META = 8 * 1024
TOKENS = r"^(events|tasks)\.v1(\.[A-Za-z0-9_-]+){3,4}$"  # a bound for each token would take 60 µs a row, not 2
MOST_SUBJECT = len("events.v1") + 4 * 65

FILTER = r"^(events|tasks)\.v1(\.([A-Za-z0-9_-]{1,64}|\*)){0,4}(\.>)?$"

NEW_THINGS = "version = 1 AND name NOT LIKE 'task.%'"
THREE_THINGS = "version = 1 AND name IN ('account.registered', 'item.created', 'order.created')"

ACTOR_OF_EVENT = "meta ->> 'actor'"

metadata = MetaData(schema=SCHEMA)


def _at(name: str, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


events = Table(  # append-only: privileges and triggers see to it
    "events",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),  # "task.queued"
    Column("name_version", Integer, nullable=False),  # of the event's fields
    _at("at", nullable=False),
    Column("subject", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("personal", JSON),  # apart, so that it can be encrypted for each person
    Column("meta", JSON, nullable=False),
    PrimaryKeyConstraint("id", name="events_id"),
    UniqueConstraint("stream", "version", name="events_stream_version"),
    CheckConstraint("version >= 1", name="events_version_from_one"),
    CheckConstraint(f"subject ~ '{TOKENS}'", name="events_subject_of_tokens"),
    CheckConstraint(f"octet_length(subject) <= {MOST_SUBJECT}", name="events_subject_fits"),
    CheckConstraint(f"octet_length(data::text) <= {MOST_DATA}", name="events_data_fits"),
    CheckConstraint(f"octet_length(personal::text) <= {MOST_DATA}", name="events_personal_fits"),
    CheckConstraint(f"octet_length(meta::text) <= {MOST_META}", name="events_meta_fits"),
    Index("events_of_things", "name", "id", postgresql_where=text(NEW_THINGS)),  # for their lists
    Index("events_of_their_owners", "name", text(f"({ACTOR_OF_EVENT})"), "id", postgresql_where=text(NEW_THINGS)),
    Index("events_of_new_things", "name", "id", postgresql_where=text(THREE_THINGS)),  # of programs before 0008 …
    Index("events_of_owners", "name", text(f"({ACTOR_OF_EVENT})"), "id", postgresql_where=text(THREE_THINGS)),  # … too
)

outbox = Table(  # the duty: "not yet in the ledger"
    "outbox",
    metadata,
    Column("seq", BigInteger, Identity(always=True, cache=1), nullable=False),
    Column("event", Uuid, nullable=False),
    PrimaryKeyConstraint("seq", name="outbox_seq"),
    postgresql_with={
        "autovacuum_vacuum_scale_factor": "0",
        "autovacuum_vacuum_threshold": "2000",
        "autovacuum_vacuum_cost_delay": "0",
    },
)

ledger = Table(  # the one number: position 1, 2, 3, … in the order of the log
    "ledger",
    metadata,
    Column("position", BigInteger, nullable=False, autoincrement=False),
    Column("event", Uuid, nullable=False),
    PrimaryKeyConstraint("position", name="ledger_position"),
    UniqueConstraint("event", name="ledger_event"),
)

tasks = Table(  # the folded state of every task, written in the same statement as its facts
    "tasks",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("request", JSON, nullable=False),
    Column("personal", JSON),
    Column("max_attempts", Integer, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("stumbles", Integer, nullable=False, server_default=text("0")),
    Column("lost", Integer, nullable=False, server_default=text("0")),
    Column("turn", Integer, nullable=False, server_default=text("0")),
    Column("progress", JSON),
    Column("result", JSON),
    Column("error", JSON),
    _at("created_at", nullable=False),
    _at("due_at"),
    _at("started_at"),
    _at("finished_at"),
    Column("by", Text, nullable=False),
    Column("retry_of", Uuid),
    Column("retried_as", Uuid),
    Column("cancel_requested", JSON),
    Column("worker", Text),
    _at("lease_until"),  # by the database's clock; no index, so that heartbeats stay cheap
    Column("last_event", Uuid, nullable=False),
    Column("request_id", Text),
    Column("correlation_id", Text),
    Column("traceparent", Text),
    Column("needs", ARRAY(Uuid)),  # tasks that must be complete before; NULL for most
    PrimaryKeyConstraint("id", name="tasks_id"),
    CheckConstraint(
        "status IN ('waiting', 'scheduled', 'queued', 'in_progress', 'complete', 'failed', 'cancelled')",
        name="tasks_status_known",
    ),
    CheckConstraint("(status = 'in_progress') = (lease_until IS NOT NULL)", name="tasks_lease_while_in_progress"),
    CheckConstraint(
        "(status IN ('complete', 'failed', 'cancelled')) = (finished_at IS NOT NULL)", name="tasks_finished_when_ended"
    ),
    CheckConstraint("status <> 'scheduled' OR due_at IS NOT NULL", name="tasks_scheduled_have_due_at"),
    CheckConstraint("isfinite(due_at)", name="tasks_due_at_is_a_time"),
    CheckConstraint("status <> 'waiting' OR cardinality(needs) > 0", name="tasks_waiting_have_needs"),
    Index("tasks_queued", "queue", "due_at", "id", postgresql_where=text("status = 'queued'")),
    Index("tasks_scheduled", "due_at", postgresql_where=text("status = 'scheduled'")),
    Index("tasks_in_progress", "id", postgresql_where=text("status = 'in_progress'")),
    Index("tasks_by", "by", "id"),
    Index("tasks_failed", "id", postgresql_where=text("status = 'failed'")),  # what an operator looks for
    Index("tasks_cancelled", "id", postgresql_where=text("status = 'cancelled'")),
    Index("tasks_waiting", "id", postgresql_where=text("status = 'waiting'")),
    Index("tasks_kind", "kind", "id"),
    Index("tasks_needs", "needs", postgresql_using="gin", postgresql_where=text("needs IS NOT NULL")),
    postgresql_with={"fillfactor": "50", "autovacuum_vacuum_scale_factor": "0.02"},
)

idempotency = Table(  # what a caller was told, kept for seven days
    "idempotency",
    metadata,
    Column("holder", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    Column("location", Text),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    PrimaryKeyConstraint("holder", "route", "key", name="idempotency_key"),
    Index("idempotency_created_at", "created_at"),
)

kinds = Table(  # for postcommit.request(): the vocabularies of this program
    "kinds",
    metadata,
    Column("name", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("schema", JSONB, nullable=False),  # of the request, as JSON Schema
    Column("personal", ARRAY(Text), nullable=False),
    PrimaryKeyConstraint("name", name="kinds_name"),
)

keys = Table(  # of the REST API: the secret itself is not here
    "keys",
    metadata,
    Column("hash", LargeBinary, nullable=False),  # SHA-256 of a secret of 256 random bits
    Column("name", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    _at("revoked_at"),
    Column("old_hash", LargeBinary),  # of the secret before the last rotation …
    _at("old_until"),  # … which is valid until then
    PrimaryKeyConstraint("hash", name="keys_hash"),
    UniqueConstraint("name", name="keys_name"),
    CheckConstraint("scope IN ('client', 'worker', 'auditor', 'operator')", name="keys_scope_known"),
    CheckConstraint("(old_hash IS NULL) = (old_until IS NULL)", name="keys_old_hash_has_its_end"),
    Index("keys_old_hash", "old_hash", unique=True),
)

cursors = Table(  # how far the mirror and the readers are
    "cursors",
    metadata,
    Column("name", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    PrimaryKeyConstraint("name", name="cursors_name"),
    postgresql_with={"fillfactor": "10", "autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "500"},
)

leader = Table(  # who leads the relay, and when it was last heard
    "leader",
    metadata,
    Column("role", Text, nullable=False),
    Column("pid", Integer, nullable=False),  # of its backend in Postgres
    Column("heard_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("role", name="leader_role"),
    postgresql_with={"fillfactor": "10"},
)

epochs = Table(  # the log's history was rewritten from outside: a restored backup, a foreign message in the stream
    "epochs",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("position", BigInteger, nullable=False),  # of the ledger's head when it began
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("id", name="epochs_id"),
)

audit = Table(  # a reader's: who did what, when, from where
    "audit",
    metadata,
    Column("position", BigInteger, nullable=False, autoincrement=False),
    _at("at", nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("address", Text),
    Column("request_id", Text),
    Column("before", JSON),
    Column("after", JSON),
    PrimaryKeyConstraint("position", name="audit_position"),
    Index("audit_subject", "subject", "position"),
    Index("audit_actor", "actor", "position"),
    Index("audit_action", "action", "position"),
    Index("audit_request_id", "request_id", "position"),
    Index("audit_at", "at"),
)

balance = Table(  # a reader's: the counts up to its cursor
    "balance",
    metadata,
    Column("name", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", name="balance_name"),
    postgresql_with={"fillfactor": "10"},
)

consumers = Table(  # programs outside that read the stream, each with a durable that the relay keeps
    "consumers",
    metadata,
    Column("name", Text, nullable=False),
    Column("filter", Text, nullable=False),
    Column("position", BigInteger, nullable=False),  # up to here it has acknowledged what its filter lets through
    _at("created_at", nullable=False),
    _at("removed_at"),
    PrimaryKeyConstraint("name", name="consumers_name"),
    CheckConstraint(f"filter ~ '{FILTER}'", name="consumers_filter_of_tokens"),
)

analytics = Table(  # a reader's: sums by the hour and by the day, see domain.figures
    "analytics",
    metadata,
    Column("per", Text, nullable=False),
    _at("begins_at", nullable=False),
    Column("figure", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("bucket", Integer, nullable=False),
    Column("value", Numeric(38, 0), nullable=False),  # the cents of an hour may be more than a bigint holds
    PrimaryKeyConstraint("per", "begins_at", "figure", "label", "bucket", name="analytics_key"),
    CheckConstraint("per IN ('hour', 'day')", name="analytics_per_known"),
    postgresql_with={"fillfactor": "50"},
)

files = Table(  # what the store has, or is about to have
    "files",
    metadata,
    Column("sha256", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("touched_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("going", Boolean, nullable=False, server_default=text("false")),  # nobody holds it: it is removed just now
    PrimaryKeyConstraint("sha256", name="files_sha256"),
    CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="files_sha256_is_one"),
    CheckConstraint("size_bytes >= 0", name="files_size_from_zero"),
    Index("files_touched_at", "touched_at"),
)

holds = Table(  # a reader's: for whose sake files are kept
    "holds",
    metadata,
    Column("stream", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    PrimaryKeyConstraint("stream", "sha256", name="holds_key"),
    Index("holds_sha256", "sha256"),
)

made = Table(  # a reader's: the results of operations on files, so that nobody does the same again
    "made",
    metadata,
    Column("source", Text, nullable=False),  # SHA-256
    Column("operation", Text, nullable=False),
    Column("result", JSON, nullable=False),
    PrimaryKeyConstraint("source", "operation", name="made_key"),
)

WORDS = "to_tsvector('simple'::regconfig, (title || ' '::text) || body)"


def _searched(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("category", Text, nullable=False),
        Column("id", Uuid, nullable=False),
        Column("owner", Text, nullable=False),  # the actor of its first fact
        Column("title", Text, nullable=False),
        Column("body", Text, nullable=False),
        _at("at", nullable=False),
        PrimaryKeyConstraint("category", "id", name=f"{name}_key"),
        Index(f"{name}_words", text(WORDS), postgresql_using="gin"),
        Index(f"{name}_title", "title", postgresql_using="gin", postgresql_ops={"title": f"{SCHEMA}.gin_trgm_ops"}),
    )


search = _searched("search")  # a reader's: what can be found
search_next = _searched("search_next")  # the same, while it is built anew
search_rebuild = Table(  # by which task, and how far it is
    "search_rebuild",
    metadata,
    Column("one", Boolean, nullable=False, server_default=text("true")),
    Column("task", Uuid, nullable=False),
    Column("position", BigInteger, nullable=False),
    PrimaryKeyConstraint("one", name="search_rebuild_one"),
    CheckConstraint("one", name="search_rebuild_is_one"),
)
