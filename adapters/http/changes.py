"""Tasks, changed from outside: cancelled, or done again by a new task."""

from typing import Annotated

import msgspec
from litestar import Response, post
from litestar.params import FromPath

from adapters.http import examples
from adapters.http.auth import needs
from adapters.http.body import json_or_nothing
from adapters.http.described import Body, Reply, described
from adapters.http.desk import Call, desk, find_task
from adapters.http.origin import meta
from adapters.http.problems import Problem, invalid
from adapters.http.shape import flaws
from adapters.http.shown import Accepted, accepted_json, etag_of, id_of, matches, ok, strong_tags
from adapters.http.write import Claim, answered, claim, decide, write
from domain import again, compose, task
from domain.access import Right
from domain.log import Answer, Entry
from domain.task import Status
from domain.views import Seen


class Cancel(msgspec.Struct, forbid_unknown_fields=True):
    reason: Annotated[str, msgspec.Meta(max_length=1_000)] = ""


class Retry(msgspec.Struct, forbid_unknown_fields=True):
    pass


FOLLOW = {"see_task": "$response.body#/id", "see_history": "$response.body#/id"}
CANCEL = described(
    "cancel_task",
    "Tasks",
    {
        200: Reply(Accepted, examples.CANCELLED_BEFORE, ["ETag"], links=FOLLOW),
        202: Reply(Accepted, examples.CANCELLED, may=["Retry-After", "ETag"], links=FOLLOW),
    },
    Body(Cancel, {"why": {"reason": "not needed"}, "nothing": {}}, optional=True),
    takes=["If-Match"],
    problems=["conflict"],
)
RETRY = described(
    "retry_task",
    "Tasks",
    {
        202: Reply(
            Accepted,
            examples.RETRIED,
            ["Location", "Retry-After"],
            links=FOLLOW | {"cancel_task": "$response.body#/id"},
        )
    },
    Body(Retry, {"nothing": {}}, optional=True),
    takes=["If-Match"],
    problems=["conflict"],
)


@post("/v1/tasks/{id:str}/cancel", opt=needs(Right.WRITE) | CANCEL)
async def cancel(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Cancel a task at once, or ask its worker to stop. 200 where it is cancelled already, 409 where it has ended."""
    body = await _body(request, Cancel)
    claimed, reason = claim(request, body), body.get("reason", "")
    return await decide(lambda: _cancel(request, id, reason, claimed))


@post("/v1/tasks/{id:str}/retry", opt=needs(Right.WRITE) | RETRY)
async def retry(request: Call, id: FromPath[str]) -> Response[bytes]:
    """Do the work of a failed or cancelled task again, in a new task, together with the tasks that waited for it. 409
    where that cannot be, or was done before."""
    claimed = claim(request, await _body(request, Retry))
    return await decide(lambda: _retry(request, id, claimed))


async def _cancel(request: Call, id: str, reason: str, claimed: Claim | None) -> Response[bytes]:
    service, seen = desk(request).service, await _fresh(request, id)
    events = task.cancel(seen.task, request.user.name, reason)
    if not events:
        return await answered(service, claimed) or _already(seen)
    facts, after = compose.of_task(seen.id, seen.task, events, meta(request, service), service.now(), service.new_id)
    body = accepted_json(Seen(id=seen.id, task=after), [seen.id], [fact.id for fact in facts])
    return await write(service, Entry(facts, changed=((seen.id, after),)), Answer(202, body), claimed)


def _already(seen: Seen) -> Response[bytes]:
    match seen.task.status:
        case Status.CANCELLED | Status.IN_PROGRESS as status:
            body = accepted_json(seen, [seen.id], [])
            return ok(body, {"ETag": etag_of(seen.task)}, 200 if status is Status.CANCELLED else 202)
        case status:
            raise Problem("conflict", f"The task {seen.id} is {status}: it has ended, and cannot be cancelled.")


async def _retry(request: Call, id: str, claimed: Claim | None) -> Response[bytes]:
    service, seen = desk(request).service, await _fresh(request, id)
    chain = await service.queries.chain(seen.id, again.MOST + 1)
    if len(chain) > again.MOST:
        raise Problem("conflict", f"More than {again.MOST} tasks wait for the task {seen.id}: they cannot be retried.")
    needed = await service.queries.last_retries(seen.task.needs) if seen.task.needs else []
    others = list({need for state in chain.values() for need in state.needs} - {seen.id, *chain, *seen.task.needs})
    beside = zip(others, await service.queries.last_retries(others) if others else [], strict=True)
    try:
        entry = again.retry(
            seen.id,
            chain | {seen.id: seen.task},
            needed,
            meta(request, service),
            service.now(),
            service.new_id,
            {old: last for old, (last, _) in beside},
        )
    except again.Unfit as error:
        headers = {"Location": f"/v1/tasks/{error.id}"}
        raise Problem("conflict", f"The task {seen.id} cannot be retried now. {error}", headers=headers) from None
    if entry is None:
        return await answered(service, claimed) or _not_again(seen)
    made = [Seen(id=new, task=state) for new, state in entry.tasks]
    body = accepted_json(made[0], [one.id for one in made], [fact.id for fact in entry.facts])
    return await write(service, entry, Answer(202, body, f"/v1/tasks/{made[0].id}"), claimed)


def _not_again(seen: Seen) -> Response[bytes]:
    if (new := seen.task.retried_as) is not None:
        where = {"Location": f"/v1/tasks/{new}"}
        raise Problem("conflict", f"The task {seen.id} was retried already, as {new}.", headers=where)
    status = seen.task.status
    raise Problem("conflict", f"The task {seen.id} is {status}: only what failed or was cancelled can be retried.")


async def _fresh(request: Call, id: str) -> Seen:
    """The task as it stands now. Raises Problem where the caller's If-Match names another version of it."""
    seen, given = await find_task(request, id_of(id)), strong_tags(request, "if-match")
    if given is not None and not matches(etag_of(seen.task), given):
        raise Problem("stale", f"The task is at {etag_of(seen.task)}.", headers={"ETag": etag_of(seen.task)})
    return seen


async def _body(request: Call, shape: type[msgspec.Struct]) -> dict[str, str]:
    value = await json_or_nothing(request)
    if found := flaws(value, shape):
        raise invalid(found)
    body: dict[str, str] = value
    return body
