-- A transaction id of its own: whoever got one before has a lower one. The snapshot's xmax would not do, because it is
-- one past the newest transaction that has *ended*, and one that still runs may have that very id, or a higher one.
SELECT pg_current_xact_id()::text::bigint
