"""Writes nats.conf and postgres.sql beside this file, for servers of one's own: `python -m infra.deploy.files`.

They say what the embedded servers are told, by the same code; only the passwords are variables of the environment."""

from collections.abc import Mapping
from pathlib import Path

from adapters.postgres.database import LIMITS
from infra.accounts import accounts, rights
from infra.app import QUEUES
from infra.embedded import postgres

HERE = Path(__file__).parent

NATS = """\
# Made by `python -m infra.deploy.files`. Each user's password is a variable of the server's environment; one that
# begins with a digit would be read as a number. Where to store is told on the command line: nats-server -sd DIR.
listen: "0.0.0.0:4222"
http: "127.0.0.1:8222"
max_payload: 2MB
jetstream {{
  sync_interval: always
  max_file_store: 10GB
  max_memory_store: 64MB
}}
{accounts}"""

POSTGRES = """\
-- Made by `python -m infra.deploy.files`. For psql as a superuser, once or again: the roles and the database, before
-- `postcommit migrate` makes the schema.
\\set ON_ERROR_STOP on
\\getenv owner_password POSTGRES_OWNER_PASSWORD
\\getenv app_password POSTGRES_APP_PASSWORD
{roles}
SELECT '{database}' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'postcommit') \\gexec
"""


def password_of(user: str) -> str:
    """The variable with the password of a NATS user."""
    return f"NATS_{user.upper()}_PASSWORD"


def files() -> Mapping[str, str]:
    """The text of each file, by its name."""
    passwords = {user: f"${password_of(user)}" for user in rights(QUEUES)}
    roles = postgres.ROLES.replace("'{postcommit_owner}'", ":'owner_password'")
    roles = roles.replace("'{postcommit}'", ":'app_password'").format(**LIMITS)
    return {
        "nats.conf": NATS.format(accounts=accounts(passwords, QUEUES)),
        "postgres.sql": POSTGRES.format(roles=roles.strip(), database=postgres.DATABASE),
    }


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text)
