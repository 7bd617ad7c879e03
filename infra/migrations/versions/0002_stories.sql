ALTER TABLE postcommit.tasks ADD COLUMN needs UUID[]
----
ALTER TABLE postcommit.tasks
    DROP CONSTRAINT tasks_status_known,
    ADD CONSTRAINT tasks_status_known CHECK (
        status IN ('waiting', 'scheduled', 'queued', 'in_progress', 'complete', 'failed', 'cancelled')),
    ADD CONSTRAINT tasks_waiting_have_needs CHECK (status <> 'waiting' OR cardinality(needs) > 0)
----
CREATE INDEX tasks_cancelled ON postcommit.tasks (id) WHERE status = 'cancelled'
----
CREATE INDEX tasks_waiting ON postcommit.tasks (id) WHERE status = 'waiting'
----
CREATE INDEX tasks_kind ON postcommit.tasks (kind, id)
----
CREATE INDEX tasks_needs ON postcommit.tasks USING gin (needs) WHERE needs IS NOT NULL
----
CREATE INDEX events_of_new_things ON postcommit.events (name, id)
    WHERE version = 1 AND name IN ('account.registered', 'item.created', 'order.created')
----
CREATE INDEX events_of_owners ON postcommit.events (name, (meta ->> 'actor'), id)
    WHERE version = 1 AND name IN ('account.registered', 'item.created', 'order.created')
----
ALTER TABLE postcommit.audit ADD COLUMN before JSON, ADD COLUMN after JSON
----
UPDATE postcommit.audit AS a
SET after = CASE WHEN e.name = 'task.retried' THEN json_build_object('task', e.data ->> 'task')
    ELSE json_build_object('reason', e.data ->> 'reason') END
FROM postcommit.ledger AS l
JOIN postcommit.events AS e ON e.id = l.event
WHERE l.position = a.position
  AND a.action IN ('task.retried', 'task.cancelled', 'task.cancel_requested')
  AND (e.name = 'task.retried' OR e.data ->> 'reason' <> '')
----
CREATE INDEX audit_action ON postcommit.audit (action, position)
----
CREATE INDEX audit_request_id ON postcommit.audit (request_id, position)
----
CREATE INDEX audit_at ON postcommit.audit (at)
----
INSERT INTO postcommit.cursors (name, position)
SELECT 'release', coalesce(max(position), 0) FROM postcommit.ledger
