-- The leader says that it lives.
INSERT INTO postcommit.leader (role, pid, heard_at) VALUES ('relay', pg_backend_pid(), clock_timestamp())
ON CONFLICT (role) DO UPDATE SET pid = excluded.pid, heard_at = excluded.heard_at
