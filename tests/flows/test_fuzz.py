"""Does the API keep to its description, whatever it is asked? A moment of `make fuzz`, without workers."""

import asyncio
import re
from collections.abc import Callable

from tests.flows.test_http_role import serving
from tests.fuzz.run import command

SHORT = ("--max-examples", "3", "--no-shrink", "--exclude-method", "HEAD", "--exclude-method", "OPTIONS")


async def test_the_api_answers_as_its_description_says(dsn: Callable[[str], str]) -> None:
    async with serving(dsn("postcommit")) as (_, http):
        arguments = command(str(http.base_url), "secret", "examples,coverage,fuzzing", 1, *SHORT)
        trying = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        told = (await trying.communicate())[0].decode()
    assert trying.returncode == 0, told
    [cases] = re.findall(r"(\d+) generated", told)
    assert int(cases) > 500, told
