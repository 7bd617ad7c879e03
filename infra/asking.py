"""What Postgres says instead of an answer, as one sentence: whoever asked is refused, or Postgres is away."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError

from adapters.postgres.database import GONE, Unavailable, Unsafe
from infra.exits import Away, Refused
from infra.settings import mask

REFUSING = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedObjectError,  # a role that the schema grants to, a parameter of the address
    asyncpg.ClientConfigurationError,  # a parameter of the address that is wrong
)
LATER = (
    *GONE,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)


@contextmanager
def postgres(dsn: str) -> Iterator[None]:
    """While the block runs, what goes wrong at Postgres raises Refused or Away; other errors are left as they are."""
    try:
        yield
    except Unsafe as error:
        raise Refused(str(error)) from error
    except (DBAPIError, Unavailable, *REFUSING, *LATER) as error:
        cause = _cause(error)
        if isinstance(cause, REFUSING):
            raise Refused(f"Postgres at {mask(dsn)} refuses this: {_words(cause)}.") from error
        if isinstance(cause, (Unavailable, *LATER)):
            raise Away(f"Postgres at {mask(dsn)} does not answer: {_words(cause)}.") from error
        raise


def _cause(error: BaseException) -> BaseException:
    """The driver's own error, which SQLAlchemy and the pool wrap."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, (*REFUSING, *LATER)):
        found = found.__cause__
    return found or error


def _words(error: BaseException) -> str:
    """Its first line, as the end of a sentence."""
    return (str(error).partition("\n")[0] or type(error).__name__).rstrip(".")
