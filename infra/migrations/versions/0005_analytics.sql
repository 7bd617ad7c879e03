CREATE TABLE postcommit.analytics (
    per TEXT NOT NULL,
    begins_at TIMESTAMP WITH TIME ZONE NOT NULL,
    figure TEXT NOT NULL,
    label TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    value NUMERIC(38, 0) NOT NULL,
    CONSTRAINT analytics_key PRIMARY KEY (per, begins_at, figure, label, bucket),
    CONSTRAINT analytics_per_known CHECK (per IN ('hour', 'day'))
)
 WITH (fillfactor = 50)
----
GRANT SELECT, INSERT, UPDATE ON postcommit.analytics TO postcommit_app
----
INSERT INTO postcommit.cursors (name, position) VALUES ('analytics', 0)
