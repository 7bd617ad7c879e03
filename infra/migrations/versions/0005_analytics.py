"""Analytics: its figures, and its reader's cursor. Expands only: programs of before go on beside it."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0002"


def upgrade() -> None:
    script = (Path(__file__).parent / "0005_analytics.sql").read_text()
    for statement in script.split("\n----\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise RuntimeError("The log is kept for ever: there is no way down.")
