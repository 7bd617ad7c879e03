"""The names that postcommit uses in NATS. No calls here."""

import re

BETWEEN = re.compile(r"\s*,\s*(?=[a-z]+://)")  # a comma alone may stand in a password
STREAM = "LOG"
SUBJECTS = ("events.v1.>", "tasks.v1.>")
LOG_BELL = "bells.v1.log"  # something was written: the relay may number it
HEAD_BELL = "bells.v1.head"  # something was numbered: the readers may read it
QUEUE_BELL = "bells.v1.queue"  # .<queue>: names tasks that wait for a worker, as bells.py has it


def addresses(given: str) -> list[str]:
    """The servers of a cluster: `nats://one,nats://two` names two."""
    return BETWEEN.split(given.strip())


def queue_bell(queue: str) -> str:
    """The bell of one queue."""
    return f"{QUEUE_BELL}.{queue}"


def durable(queue: str) -> str:
    """The durable consumer of a queue's workers. Its start cannot be changed later, so its name has a version."""
    return f"worker-{queue}-v1"


def queued(queue: str) -> str:
    """What the workers of a queue listen to."""
    return f"tasks.v1.{queue}.*.queued.>"


def consumer(name: str) -> str:
    """The durable of a registered consumer, and its user's name."""
    return f"consumer-{name}"
