"""Tasks of every kind: requested, one or many, and asked for."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, post
from litestar.params import FromPath, QueryParameter

from adapters.http import asked, examples
from adapters.http.auth import needs
from adapters.http.body import MOST_BATCH_BODY, json_of
from adapters.http.described import Body, Reply, described
from adapters.http.desk import Call, desk, find_task
from adapters.http.methods import get
from adapters.http.needs import Needs, needs_of
from adapters.http.origin import meta
from adapters.http.service import Service
from adapters.http.shown import (
    ENCODER,
    Accepted,
    TaskShown,
    accepted_json,
    etag_of,
    id_of,
    matches,
    ok,
    shown,
    tags,
    task_json,
)
from adapters.http.wait import LONGEST_S, applied, ended, glance, preferred, until
from adapters.http.wish import Wish, wish, wishes
from adapters.http.write import claim, write
from domain import compose
from domain.access import Right
from domain.log import Answer, Entry, Meta
from domain.record import Value
from domain.views import Glance, Seen

Wait = Annotated[int, QueryParameter(ge=0, description="a whole number of seconds")]


class Draft(Value, frozen=True):
    """A task that could be written."""

    seen: Seen
    entry: Entry

    @property
    def events(self) -> list[UUID]:
        return [fact.id for fact in self.entry.facts]


def draft(service: Service, id: UUID, wanted: Wish, needs: Needs, cause: Meta, now: datetime) -> Draft:
    asked = compose.asked(wanted.kind, wanted.request, cause.actor, needs)
    facts, task = compose.new_task(id, asked, cause, now, service.new_id, wanted.due_at)
    return Draft(Seen(id=id, task=task), Entry(facts, ((id, task),)))


class ManyAccepted(msgspec.Struct):
    items: list[TaskShown]
    tasks: list[UUID]
    events: list[UUID]


FOLLOW = dict.fromkeys(("see_task", "see_history", "cancel_task", "retry_task"), "$response.body#/id")
CREATE = described(
    "create_task",
    "Tasks",
    {
        200: Reply(Accepted, examples.ACCEPTED_COMPLETE, ["Location", "ETag", "Preference-Applied"], links=FOLLOW),
        202: Reply(Accepted, examples.ACCEPTED, ["Location", "Retry-After"], ["Preference-Applied"], FOLLOW),
    },
    Body(asked.one, asked.example_of_one),
    takes=["Prefer"],
)
CREATE_MANY = described(
    "create_tasks",
    "Tasks",
    {
        202: Reply(
            ManyAccepted,
            ManyAccepted([TaskShown(**examples.QUEUED)], [examples.TASK_ID], [examples.EVENT_ID]),
            ["Retry-After"],
            links=dict.fromkeys(FOLLOW, "$response.body#/tasks/0"),
        )
    },
    Body(asked.many, asked.example_of_many),
)
SEE = described(
    "see_task",
    "Tasks",
    {200: Reply(TaskShown, examples.TASK, ["ETag"], ["Preference-Applied"], FOLLOW)},
    takes=["If-None-Match", "Prefer"],
    problems=["overloaded"],
)


@post("/v1/tasks", opt=needs(Right.WRITE) | CREATE)
async def create(request: Call) -> Response[bytes]:
    """Request a task. With `Prefer: wait=n` the answer is 200 and the finished task, if it ends in time."""
    service = desk(request).service
    body = await json_of(request)
    wanted, id, claimed = wish(body, service.offered), service.new_id(), claim(request, body)
    [needed] = await needs_of(request, [wanted], [id])
    made = draft(service, id, wanted, needed, meta(request, service), service.now())
    answer = Answer(202, accepted_json(made.seen, [id], made.events), f"/v1/tasks/{id}")
    response = await write(service, made.entry, answer, claimed)
    seconds = preferred(request)
    if seconds is None or "Idempotency-Replayed" in response.headers:
        return response
    seen = await until(request, made.seen, ended, seconds)
    if not ended(glance(seen)):
        response.headers.update(applied(seconds))
        return response
    headers = {"Location": f"/v1/tasks/{id}", "ETag": etag_of(seen.task), **applied(seconds)}
    return ok(accepted_json(seen, [id], made.events), headers)


@post("/v1/tasks/batch", opt=needs(Right.WRITE) | CREATE_MANY, request_max_body_size=MOST_BATCH_BODY)
async def create_many(request: Call) -> Response[bytes]:
    """Request up to 1,000 tasks, all or none."""
    service = desk(request).service
    body = await json_of(request)
    cause, now, wanted = meta(request, service), service.now(), wishes(body, service.offered)
    ids = [service.new_id() for _ in wanted]
    needed = await needs_of(request, wanted, ids)
    made = [draft(service, *one, cause, now) for one in zip(ids, wanted, needed, strict=True)]
    told = {
        "items": [TaskShown(**shown(one.seen)) for one in made],
        "tasks": [one.seen.id for one in made],
        "events": [event for one in made for event in one.events],
    }
    entry = compose.joined([one.entry for one in made])
    return await write(service, entry, Answer(202, ENCODER.encode(told)), claim(request, body))


@get("/v1/tasks/{id:str}", opt=needs(Right.READ_TASKS) | SEE)
async def see(request: Call, id: FromPath[str], wait: Wait = 0) -> Response[bytes]:
    """A task. With `wait` the answer comes when the task has ended; with If-None-Match, when it has changed."""
    preference, unchanged = preferred(request), tags(request, "if-none-match")

    def changed(glance: Glance) -> bool:
        return not matches(etag_of(glance), unchanged)

    seen = await find_task(request, id_of(id))
    seconds = min(wait, LONGEST_S) if preference is None else preference
    seen = await until(request, seen, changed if unchanged else ended, seconds)
    headers = {"ETag": etag_of(seen.task), **applied(preference)}
    if unchanged and not changed(glance(seen)):
        return Response(b"", status_code=304, headers=headers)
    return ok(task_json(seen), headers)
