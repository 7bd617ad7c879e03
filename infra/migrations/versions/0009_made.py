"""What was made of files, so that the same is not made twice. Programs of before go on beside it."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
compatible_from = "0002"


def upgrade() -> None:
    for statement in Path(__file__).with_suffix(".sql").read_text().split("\n----\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise RuntimeError("The log is kept for ever: there is no way down.")
