"""Does the balance count what was accepted, and how it ended?"""

from domain import balance, compose, task
from domain.log import Recorded
from domain.task import Task
from infra.clock import new_id
from tests.making import META, NOON, asked


def test_the_balance_counts_what_was_accepted_and_how_it_ended() -> None:
    later = [task.Queued(), task.Completed(result=1), task.Cancelled(by="ops"), task.Retried(task=new_id())]
    facts, _ = compose.of_task(new_id(), Task(), [task.Queued(asked=asked()), *later], META, NOON, new_id)
    recorded = [Recorded(position, fact) for position, fact in enumerate(facts, 1)]
    assert balance.counts(recorded) == {"accepted": 1, "complete": 1, "cancelled": 1}
