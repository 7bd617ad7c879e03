UPDATE postcommit.tasks
SET due_at = CASE WHEN due_at = 'infinity' THEN timestamptz '9999-12-31 23:59:59.999999+00' ELSE timestamptz '0001-01-01 00:00:00+00' END
WHERE NOT isfinite(due_at)
----
ALTER TABLE postcommit.tasks ADD CONSTRAINT tasks_due_at_is_a_time CHECK (isfinite(due_at))
