-- The last number that the outbox has handed out. A fresh sequence says 1 before it has given any.
SELECT last_value - CASE WHEN is_called THEN 0 ELSE 1 END FROM postcommit.outbox_seq_seq
