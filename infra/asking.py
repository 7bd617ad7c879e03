"""What Postgres or NATS say instead of an answer, as one sentence: whoever asked is refused, or they are away."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import nats as driver
from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy.exc import DBAPIError

from adapters.nats.api import ApiError, NoAnswer
from adapters.nats.names import addresses
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
SLOW = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)
LATER = (
    *GONE,
    *SLOW,
    asyncpg.TransactionRollbackError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
NATS_ERRORS = (OSError, NatsError, NoAnswer, ApiError, TimeoutError)


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
        if isinstance(cause, SLOW):
            raise Away(f"Postgres at {mask(dsn)} took too long for this: {_words(cause)}.") from error
        if isinstance(cause, (Unavailable, *LATER)):
            raise Away(f"Postgres at {mask(dsn)} does not answer: {_words(cause)}.") from error
        raise


@asynccontextmanager
async def nats(url: str) -> AsyncIterator[Client]:
    """A connection for a few questions. What goes wrong at NATS raises Refused or Away, also in the block."""
    try:
        client = await driver.connect(
            addresses(url),
            connect_timeout=2,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # of the first connection too
            reconnect_time_wait=0.1,
            error_cb=unheard,
        )
    except NATS_ERRORS as error:
        raise _unasked(url, error) from error
    try:
        yield client
    except NATS_ERRORS as error:
        raise _unasked(url, error) from error
    finally:
        await client.close()


def _unasked(url: str, error: Exception) -> Away | Refused:
    words = (str(error) or type(error).__name__).rstrip(".")
    if "authorization" in words.lower():
        return Refused(f"NATS at {mask(url)} refuses this: {words}.")
    return Away(f"NATS at {mask(url)} cannot be asked: {words}.")


async def unheard(_: Exception) -> None:
    """For a client whose calls raise what goes wrong: it need not be told twice."""


def _cause(error: BaseException) -> BaseException:
    """The driver's own error, which SQLAlchemy and the pool wrap."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, (*REFUSING, *LATER)):
        found = found.__cause__
    return found or error


def _words(error: BaseException) -> str:
    """Its first line, as the end of a sentence."""
    return (str(error).partition("\n")[0] or type(error).__name__).rstrip(".")
