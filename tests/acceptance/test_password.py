"""What does a role do whose password NATS no longer takes?"""

import asyncio
from pathlib import Path

import nats
from nats.aio.client import Client

from tests.acceptance.apart import apart
from tests.waiting import until_told


async def test_a_role_that_nats_no_longer_lets_in_ends_so_that_it_is_started_anew(tmp_path: Path) -> None:
    with apart(tmp_path) as here:
        role = here.start("reader")
        client = await nats.connect(here.nats["admin"])
        await until_told(lambda: _heard(client), 30)
        await client.close()
        here.home.secrets["nats"]["reader"] = "another"  # type: ignore[index]
        here.servers.nats.restart()
        assert await asyncio.to_thread(role.wait, 30) == 0
        assert "nats.closed_for_good" in here.log("reader")


async def _heard(client: Client) -> bool:
    """Whether somebody listens to the bell of the readers."""
    try:
        await client.request("bells.v1.head", timeout=0.2)
    except nats.errors.NoRespondersError:
        return False
    except TimeoutError:
        return True
    return True
