"""The subjects under which NATS tells of facts. Every token is checked, so no id can widen a subject."""

from functools import lru_cache
from uuid import UUID

from domain.record import is_token


def of_task(queue: str, kind: str, event: str, task: UUID) -> str:
    """tasks.v1.<queue>.<kind>.<event>.<id>"""
    return f"{_subject('tasks', queue, kind, event)}.{task}"


def of_event(category: str, event: str, thing: UUID) -> str:
    """events.v1.<category>.<event>.<id>"""
    return f"{_subject('events', category, event)}.{thing}"


@lru_cache(maxsize=1_000)
def _subject(first: str, *tokens: str) -> str:
    for token in tokens:
        if not is_token(token):
            raise ValueError(f"{token!r} cannot be a token of a subject.")
    return ".".join((first, "v1", *tokens))
