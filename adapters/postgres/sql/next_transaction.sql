-- Every transaction that was running a moment ago is before this one.
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint
