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
----
CREATE OR REPLACE FUNCTION postcommit.flaw(given jsonb, schema jsonb, path text, defs jsonb) RETURNS text
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
    IF NOT (schema -> 'enum') @> jsonb_build_array(given) OR given <> (schema -> 'const') THEN
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
