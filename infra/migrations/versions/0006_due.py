"""No task is due at infinity: a relay that met one ended. Programs of before go on beside it."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
compatible_from = "0002"


def upgrade() -> None:
    for statement in Path(__file__).with_suffix(".sql").read_text().split("\n----\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise RuntimeError("The log is kept for ever: there is no way down.")
