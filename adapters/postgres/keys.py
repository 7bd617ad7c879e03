"""The keys of the REST API. Only a hash of each secret is stored."""

from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from adapters.postgres.database import Database
from adapters.postgres.tables import keys
from domain.access import Key, Scope


async def find(database: Database, hash: bytes) -> Key | None:
    """Whose key it is, by the SHA-256 of its secret; None where there is none, or it was revoked."""
    query = select(keys.c.name, keys.c.scope).where(keys.c.hash == hash, keys.c.revoked_at.is_(None))
    async with database.core() as connection:
        row = (await connection.execute(query)).one_or_none()
    return Key(row.name, Scope(row.scope)) if row else None


async def put(database: Database, name: str, scope: str, secret: str) -> None:
    """Make the key, or give the name another secret and scope; a revoked one is valid again. Twice is once."""
    values = {"hash": sha256(secret.encode()).digest(), "scope": Scope(scope).value}
    query = insert(keys).values(name=name, **values)
    query = query.on_conflict_do_update(index_elements=[keys.c.name], set_=values | {"revoked_at": None})
    async with database.core() as connection:
        await connection.execute(query)
