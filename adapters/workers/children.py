"""How work ended that a child process did: what went wrong with it, in words."""

from collections.abc import Awaitable, Callable

from adapters.tools.ffmpeg import NoFilm
from adapters.tools.sandbox import Broken, Hindered, TooMuch
from adapters.tools.shelf import Gone
from domain.file import Full
from domain.outcome import Error, Outcome, Refused, Stumbled


async def told(work: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """How the work ended, also where a child or the disk was at fault."""
    try:
        return await work()
    except NoFilm as error:
        return refused("not_a_film", str(error))
    except Hindered as error:
        return Stumbled(error=Error(type="hindered", detail=str(error)))
    except TooMuch as error:
        return refused("too_much", str(error))
    except Broken as error:
        return Stumbled(error=Error(type="broken", detail=str(error)))
    except Full:
        return Stumbled(error=Error(type="no_room", detail="There is no room left where the work is done."))
    except Gone as error:
        return refused("no_file", str(error))


def refused(type: str, detail: str) -> Refused:
    return Refused(error=Error(type=type, detail=detail))
