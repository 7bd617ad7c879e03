"""The spine: events, outbox, ledger, tasks, and what reads them."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
compatible_from = "0001"


def upgrade() -> None:
    for part in ("0001_tables.sql", "0001_rules.sql"):
        _run((Path(__file__).parent / part).read_text())


def downgrade() -> None:
    raise RuntimeError("The log is kept for ever: there is no way down from the first migration.")


def _run(script: str) -> None:
    """asyncpg takes one statement a call; a line of dashes stands between two."""
    for statement in script.split("\n----\n"):
        op.get_bind().exec_driver_sql(statement)
