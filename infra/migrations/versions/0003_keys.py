"""Keys: the secret before the last rotation stays valid for a while, and every key has its story in the log."""

import json
from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy import text

from domain.key import id_of

revision = "0003"
down_revision = "0002"
compatible_from = "0002"

FACT = text(
    "INSERT INTO postcommit.events (id, stream, version, name, name_version, at, subject, data, meta) "
    "VALUES (uuidv7(), :stream, :version, :name, 1, :at, :subject, CAST(:data AS json), CAST(:meta AS json)) "
    "RETURNING id"
)
DUTY = text("INSERT INTO postcommit.outbox (event) VALUES (:id)")


def upgrade() -> None:
    for statement in Path(__file__).with_suffix(".sql").read_text().split("\n----\n"):
        op.get_bind().exec_driver_sql(statement)
    for row in op.get_bind().execute(text("SELECT * FROM postcommit.keys ORDER BY created_at")).all():
        _tell(row.name, 1, "issued", row.created_at, {"name": row.name, "scope": row.scope})
        if row.revoked_at is not None:
            _tell(row.name, 2, "revoked", row.revoked_at, {})


def _tell(key: str, version: int, event: str, at: Any, data: dict[str, str]) -> None:
    thing = id_of(key)
    values = {
        "stream": f"key-{thing}",
        "version": version,
        "name": f"key.{event}",
        "at": at,
        "subject": f"events.v1.key.{event}.{thing}",
        "data": json.dumps(data),
        "meta": json.dumps({"actor": "system"}),
    }
    op.get_bind().execute(DUTY, {"id": op.get_bind().scalar(FACT, values)})


def downgrade() -> None:
    raise RuntimeError("The log is kept for ever: there is no way down.")
