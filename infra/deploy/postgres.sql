-- Made by `python -m infra.deploy.files`. For psql as a superuser, once or again: the roles and the database, before
-- `postcommit migrate` makes the schema.
\set ON_ERROR_STOP on
\getenv owner_password POSTGRES_OWNER_PASSWORD
\getenv app_password POSTGRES_APP_PASSWORD
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['postcommit_owner', 'postcommit_app', 'postcommit_caller', 'postcommit'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
    END LOOP;
END $$;
ALTER ROLE postcommit_owner LOGIN CREATEROLE PASSWORD :'owner_password';
ALTER ROLE postcommit LOGIN PASSWORD :'app_password';
GRANT postcommit_app, postcommit_caller TO postcommit_owner WITH ADMIN OPTION;
GRANT postcommit_app, postcommit_caller TO postcommit;
ALTER ROLE postcommit SET statement_timeout = '10s';
ALTER ROLE postcommit SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE postcommit RESET lock_timeout;
SELECT 'CREATE DATABASE postcommit OWNER postcommit_owner TEMPLATE template0' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'postcommit') \gexec
