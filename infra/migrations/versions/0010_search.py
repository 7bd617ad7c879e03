"""The index of the search, and a second one in which it is built anew. Programs of before go on beside it.

The extension pg_trgm comes with Postgres and is trusted: the owner of the database may make it."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
compatible_from = "0002"


def upgrade() -> None:
    for statement in Path(__file__).with_suffix(".sql").read_text().split("\n----\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise RuntimeError("The log is kept for ever: there is no way down.")
