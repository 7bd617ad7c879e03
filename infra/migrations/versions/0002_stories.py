"""Items, orders, and tasks that wait for others."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
compatible_from = "0002"  # programs of 0001 do not know the status `waiting`


def upgrade() -> None:
    script = (Path(__file__).parent / "0002_stories.sql").read_text()
    for statement in script.split("\n----\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise RuntimeError("The log is kept for ever: there is no way down.")
