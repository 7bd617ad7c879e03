CREATE FUNCTION postcommit.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %.% is refused: what is in the log, and how a task ended, stands for ever.',
        TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$
----
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON postcommit.events
    FOR EACH ROW EXECUTE FUNCTION postcommit.refuse_change()
----
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON postcommit.events
    FOR EACH STATEMENT EXECUTE FUNCTION postcommit.refuse_change()
----
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON postcommit.ledger
    FOR EACH ROW EXECUTE FUNCTION postcommit.refuse_change()
----
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON postcommit.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION postcommit.refuse_change()
----
ALTER TABLE postcommit.events ENABLE ALWAYS TRIGGER append_only_rows
----
ALTER TABLE postcommit.events ENABLE ALWAYS TRIGGER append_only_table
----
ALTER TABLE postcommit.ledger ENABLE ALWAYS TRIGGER append_only_rows
----
ALTER TABLE postcommit.ledger ENABLE ALWAYS TRIGGER append_only_table
----
CREATE TRIGGER outcomes_stand BEFORE UPDATE ON postcommit.tasks
    FOR EACH ROW
    WHEN (OLD.finished_at IS NOT NULL AND (
        NEW.status <> OLD.status
        OR NEW.finished_at IS DISTINCT FROM OLD.finished_at
        OR NEW.result::text IS DISTINCT FROM OLD.result::text
        OR NEW.error::text IS DISTINCT FROM OLD.error::text))
    EXECUTE FUNCTION postcommit.refuse_change()
----
ALTER TABLE postcommit.tasks ENABLE ALWAYS TRIGGER outcomes_stand
----
CREATE FUNCTION postcommit.flaw(given jsonb, schema jsonb, path text, defs jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
-- The first thing that keeps a value from being what a JSON Schema says, as a sentence; NULL where there is none. It
-- knows the words that msgspec writes; `defs` are the schema's $defs.
DECLARE
    type text := jsonb_typeof(given);
    wanted text := schema ->> 'type';
    number numeric;
    pattern text;
    name text;
    found text;
    inner_schema jsonb;
BEGIN
    IF schema ? '$ref' THEN
        RETURN postcommit.flaw(given, defs -> split_part(schema ->> '$ref', '/', 3), path, defs);
    END IF;
    IF schema ? 'anyOf' THEN
        FOR inner_schema IN SELECT jsonb_array_elements(schema -> 'anyOf') LOOP
            found := postcommit.flaw(given, inner_schema, path, defs);
            IF found IS NULL THEN
                RETURN NULL;
            END IF;
        END LOOP;
        RETURN found;
    END IF;
    IF schema ? 'enum' AND NOT given <@ (schema -> 'enum') OR given <> (schema -> 'const') THEN
        RETURN format('The field %s should be one of %s, not %s.', path, coalesce(schema -> 'enum', schema -> 'const'),
            left(given::text, 64));
    END IF;
    IF wanted IS NOT NULL AND wanted <> type
        AND NOT (wanted = 'integer' AND type = 'number' AND given::text ~ '^-?[0-9]+$') THEN
        RETURN format('The field %s should be of the type %s, not %s.', path, wanted, type);
    END IF;
    CASE type
    WHEN 'number' THEN
        number := given::numeric;
        IF number < (schema ->> 'minimum')::numeric OR number <= (schema ->> 'exclusiveMinimum')::numeric
            OR number > (schema ->> 'maximum')::numeric OR number >= (schema ->> 'exclusiveMaximum')::numeric THEN
            RETURN format('The field %s is %s, which is out of its range.', path, left(given::text, 64));
        END IF;
    WHEN 'string' THEN
        IF length(given #>> '{}') NOT BETWEEN coalesce((schema ->> 'minLength')::int, 0)
            AND coalesce((schema ->> 'maxLength')::int, 524288) THEN
            RETURN format('The field %s has %s characters, which is out of its range.', path, length(given #>> '{}'));
        END IF;
        pattern := coalesce(schema ->> 'pattern', CASE schema ->> 'format'
            WHEN 'uuid' THEN '(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$'
            WHEN 'date-time' THEN '(?i)^\d{4}-\d{2}-\d{2}[t ]\d{2}:\d{2}:\d{2}(\.\d+)?(z|[+-]\d{2}:?\d{2})?$' END);
        IF given #>> '{}' !~ pattern THEN
            RETURN format('The field %s should be of the form %s.', path, coalesce(schema ->> 'format', pattern));
        END IF;
    WHEN 'array' THEN
        IF jsonb_array_length(given) NOT BETWEEN coalesce((schema ->> 'minItems')::int, 0)
            AND coalesce((schema ->> 'maxItems')::int, 524288) THEN
            RETURN format('The field %s has %s items, which is out of its range.', path, jsonb_array_length(given));
        END IF;
        IF jsonb_typeof(schema -> 'items') = 'object' AND schema -> 'items' <> '{}' THEN
            SELECT f INTO found
            FROM jsonb_array_elements(given) WITH ORDINALITY AS e (item, nth),
                postcommit.flaw(item, schema -> 'items', path || '[' || nth - 1 || ']', defs) AS f
            WHERE f IS NOT NULL LIMIT 1;
            RETURN found;
        END IF;
    WHEN 'object' THEN
        SELECT f INTO name FROM jsonb_array_elements_text(schema -> 'required') AS f WHERE NOT given ? f LIMIT 1;
        IF name IS NOT NULL THEN
            RETURN format('%s needs the field %L.', path, name);
        END IF;
        SELECT f INTO name FROM jsonb_object_keys(given) AS f
        WHERE schema -> 'additionalProperties' = 'false' AND NOT coalesce(schema -> 'properties', '{}') ? f LIMIT 1;
        IF name IS NOT NULL THEN
            RETURN format('%s has no field %L.', path, left(name, 64));
        END IF;
        SELECT f INTO found
        FROM jsonb_each(given) AS e (key, item),
            coalesce(schema -> 'properties' -> key, schema -> 'additionalProperties') AS of_key,
            postcommit.flaw(item, of_key, path || '.' || key, defs) AS f
        WHERE jsonb_typeof(of_key) = 'object' AND f IS NOT NULL LIMIT 1;
        RETURN found;
    ELSE NULL;
    END CASE;
    RETURN NULL;
END
$$
----
CREATE FUNCTION postcommit.request(kind text, request jsonb, key text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
-- A task in the caller's own transaction: it exists exactly if that transaction commits. A key makes it once: the same
-- key and request give the same task again. Raises 22023 for an unknown kind, a wrong field, a request over 512 KiB,
-- deeper than 64 levels or with a number beyond 1e308, or a key that was used for another request.
#variable_conflict use_variable
DECLARE
    known postcommit.kinds;
    task uuid := uuidv7();
    fact uuid := uuidv7();
    at timestamptz := clock_timestamp();
    actor text := 'sql/' || session_user;
    used postcommit.idempotency;
    fingerprint bytea;
    wrong text;
    open jsonb;
    secret jsonb;
BEGIN
    SELECT * INTO known FROM postcommit.kinds AS k WHERE k.name = kind;
    IF known.name IS NULL THEN
        RAISE EXCEPTION 'The kind % is unknown.', quote_nullable(kind) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF request IS NULL OR jsonb_typeof(request) <> 'object' THEN
        RAISE EXCEPTION 'The request must be a JSON object.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF octet_length(request::text) > 524288 THEN
        RAISE EXCEPTION 'The request has % bytes; the most is 524288.', octet_length(request::text)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF request @? 'strict $.**{64 to last}' THEN
        RAISE EXCEPTION 'The request is nested more than 64 levels deep.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF request @? 'strict $.** ? (@ > 1e308 || @ < -1e308)' THEN
        RAISE EXCEPTION 'The request holds a number that is too large.' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    wrong := postcommit.flaw(request, known.schema, kind, known.schema -> '$defs');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF key IS NOT NULL THEN
        IF octet_length(key) NOT BETWEEN 1 AND 255 THEN
            RAISE EXCEPTION 'The key must have 1 to 255 bytes.' USING ERRCODE = 'invalid_parameter_value';
        END IF;
        fingerprint := sha256(convert_to(kind || ' ' || request::text, 'UTF8'));
        INSERT INTO postcommit.idempotency (holder, route, key, fingerprint, status, location, body)
        VALUES (actor, 'postcommit.request', key, fingerprint, 202, '/v1/tasks/' || task, convert_to(task::text, 'UTF8'))
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            SELECT * INTO used FROM postcommit.idempotency AS i
            WHERE i.holder = actor AND i.route = 'postcommit.request' AND i.key = key;
            IF used.fingerprint <> fingerprint THEN
                RAISE EXCEPTION 'The key % was used for another request.', quote_literal(key)
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            RETURN convert_from(used.body, 'UTF8')::uuid;
        END IF;
    END IF;
    open := request - known.personal;
    SELECT jsonb_object_agg(f.key, f.value) INTO secret FROM jsonb_each(request) AS f WHERE f.key = ANY (known.personal);
    INSERT INTO postcommit.events (id, stream, version, name, name_version, at, subject, data, personal, meta)
    VALUES (
        fact, 'task-' || task, 1, 'task.queued', 1, at,
        'tasks.v1.' || known.queue || '.' || kind || '.queued.' || task,
        json_build_object('asked', json_build_object('kind', kind, 'queue', known.queue, 'request', open,
            'max_attempts', known.max_attempts, 'by', actor, 'retry_of', NULL)),
        secret::json,
        json_build_object('actor', actor, 'correlation_id', task)
    );
    INSERT INTO postcommit.tasks (id, version, status, kind, queue, request, personal, max_attempts, created_at, due_at,
        by, last_event, correlation_id)
    VALUES (task, 1, 'queued', kind, known.queue, open::json, secret::json, known.max_attempts, at, at, actor, fact,
        task::text);
    INSERT INTO postcommit.outbox (event) VALUES (fact);
    RETURN task;
END
$$
----
REVOKE ALL ON FUNCTION postcommit.request(text, jsonb, text) FROM PUBLIC
----
GRANT USAGE ON SCHEMA postcommit TO postcommit_app, postcommit_caller
----
GRANT EXECUTE ON FUNCTION postcommit.request(text, jsonb, text) TO postcommit_app, postcommit_caller
----
GRANT SELECT ON ALL TABLES IN SCHEMA postcommit TO postcommit_app
----
GRANT SELECT ON ALL SEQUENCES IN SCHEMA postcommit TO postcommit_app
----
GRANT INSERT ON postcommit.events, postcommit.ledger, postcommit.epochs, postcommit.audit TO postcommit_app
----
GRANT INSERT (event), DELETE ON postcommit.outbox TO postcommit_app
----
GRANT INSERT, DELETE ON postcommit.idempotency TO postcommit_app
----
GRANT INSERT, UPDATE ON postcommit.tasks, postcommit.kinds, postcommit.keys, postcommit.cursors, postcommit.leader,
    postcommit.balance TO postcommit_app
----
INSERT INTO postcommit.epochs (id, position, reason) VALUES (uuidv7(), 0, 'the log began')
----
INSERT INTO postcommit.cursors (name, position) VALUES ('mirror', 0), ('audit', 0), ('balance', 0)
----
INSERT INTO postcommit.balance (name, count) VALUES ('accepted', 0), ('complete', 0), ('failed', 0), ('cancelled', 0)
