"""Does one rule say the same wherever it has to be written down? SQL cannot import what Python knows."""

import re
from pathlib import Path

from domain.record import MOST_DEPTH, MOST_JSON
from domain.task import MOST_LOST

INFRA = Path(__file__).parents[2] / "infra"
RULES = (INFRA / "migrations/versions/0001_rules.sql").read_text()
INVARIANTS = (INFRA / "check/invariants.sql").read_text()


def test_the_functions_of_the_database_know_how_large_a_request_may_be() -> None:
    assert re.findall(r"octet_length\(request::text\) > (\d+)", RULES) == [str(MOST_JSON)]
    assert re.findall(r"the most is (\d+)\.", RULES) == [str(MOST_JSON)]
    assert set(re.findall(r"'max(?:Length|Items)'\)::int, (\d+)\)", RULES)) == {str(MOST_JSON)}


def test_the_functions_of_the_database_know_how_deep_a_request_may_be() -> None:
    assert re.findall(r"\{(\d+) to last\}", RULES) == [str(MOST_DEPTH)]
    assert re.findall(r"more than (\d+) levels", RULES) == [str(MOST_DEPTH)]


def test_the_check_knows_how_many_holders_a_task_may_lose() -> None:
    assert re.findall(r"\blost > (\d+)", INVARIANTS) == [str(MOST_LOST - 1)]
