"""Files: which there are, and what in the log holds them. Programs of before go on beside it.

The indexes over new things cover every category from now on. Those of before stay for the programs of before; a later
version drops them."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
compatible_from = "0002"


def upgrade() -> None:
    for statement in Path(__file__).with_suffix(".sql").read_text().split("\n----\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    raise RuntimeError("The log is kept for ever: there is no way down.")
