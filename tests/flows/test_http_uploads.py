"""Resumable uploads over HTTP, on a real Postgres and a real folder: announced, sent, cut, resumed, finished, kept."""

import asyncio
import hashlib
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from httpx import AsyncClient, Response

from adapters.files.objects import ObjectFiles, ObjectUploads
from adapters.http.service import Coming, Intake, Service
from infra.clock import Clock
from infra.roles.sweep import Sweep
from infra.store import Store
from tests.flows.conftest import Api, living
from tests.objects import bucket

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {"Content-Type": "application/offset+octet-stream"}
DATA = bytes(range(256)) * 1_000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["folder", "bucket"])
async def api(request: pytest.FixtureRequest, dsn: Callable[[str], str]) -> AsyncIterator[Api]:
    """Over both kinds of store."""
    found = bucket(request.getfixturevalue("s3")) if request.param == "bucket" else None

    def change(service: Service) -> Service:
        changed = limited(10**9)(service)
        if found is None or changed.intake is None:
            return changed
        return replace(changed, intake=replace(changed.intake, uploads=ObjectUploads(found), files=ObjectFiles(found)))

    async with living(dsn("postcommit"), change) as api:
        yield api


def limited(most_bytes_a_day: int) -> Callable[[Service], Service]:
    def change(service: Service) -> Service:
        assert service.intake is not None
        return replace(service, intake=replace(service.intake, most_bytes=10**6, most_bytes_a_day=most_bytes_a_day))

    return change


def said(**told: str) -> dict[str, str]:
    return {"Upload-Metadata": ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in told.items())}


async def begun(client: AsyncClient, size: int = len(DATA), **told: str) -> str:
    answer = await client.post("/v1/uploads", headers=TUS | {"Upload-Length": str(size)} | said(**told))
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"])


async def patched(client: AsyncClient, where: str, offset: int, data: bytes, **more: str) -> Response:
    return await client.patch(where, headers=TUS | BYTES | {"Upload-Offset": str(offset)} | more, content=data)


async def test_it_is_announced_sent_in_pieces_and_becomes_a_file(api: Api) -> None:
    client = api.by("client")
    where = await begun(client, filename="Grüße.bin", filetype="application/x-thing", sha256=SHA256)
    assert where.startswith("http://api/v1/uploads/"), "Some clients need the whole address."
    first = await patched(client, where, 0, DATA[:100_000])
    assert "Content-Length" not in first.headers
    assert (first.status_code, first.headers["Upload-Offset"], first.headers["Tus-Resumable"]) == (
        204,
        "100000",
        "1.0.0",
    )
    asked = await client.head(where, headers=TUS)
    assert asked.status_code == 200
    assert (asked.headers["Upload-Offset"], asked.headers["Upload-Length"]) == ("100000", str(len(DATA)))
    assert asked.headers["Cache-Control"] == "no-store" and "Upload-Expires" in asked.headers
    kept = said(filename="Grüße.bin", filetype="application/x-thing", purpose="file", sha256=SHA256)
    assert {"Upload-Metadata": asked.headers["Upload-Metadata"]} == kept
    early = await client.get(f"{where}/content")
    assert early.status_code == 409
    assert (await patched(client, where, 100_000, DATA[100_000:])).headers["Upload-Offset"] == str(len(DATA))

    shown = (await client.get(where)).json()
    assert (shown["status"], shown["received_bytes"], shown["sha256"]) == ("finished", len(DATA), SHA256)
    assert (shown["filename"], shown["expires_at"]) == ("Grüße.bin", None)
    content = await client.get(shown["links"]["content"])
    assert content.content == DATA
    assert content.headers["Content-Type"] == "application/x-thing"
    assert content.headers["Content-Disposition"] == (
        "attachment; filename=\"Gr__e.bin\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.bin"
    )
    assert content.headers["ETag"] == f'"{SHA256}"' and content.headers["X-Content-Type-Options"] == "nosniff"
    assert (await client.get("/v1/uploads", params={"limit": 1})).json()["items"] == [shown]
    names = "SELECT string_agg(name, ' ' ORDER BY version) FROM postcommit.events WHERE stream = $1"
    assert await api.sql(names, f"upload-{shown['id']}") == "upload.begun upload.finished"


@pytest.mark.parametrize(
    ("wanted", "status", "begin", "end"),
    [
        ("bytes=0-99", 206, 0, 100),
        ("bytes=100-", 206, 100, len(DATA)),
        ("bytes=-7", 206, len(DATA) - 7, len(DATA)),
        (f"bytes=5-{10**12}", 206, 5, len(DATA)),
        ("bytes=7-5", 200, 0, len(DATA)),
        ("bytes=0-1,5-6", 200, 0, len(DATA)),
        ("lines=1-2", 200, 0, len(DATA)),
        (f"bytes={len(DATA)}-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
    ],
)
async def test_parts_of_it_can_be_asked_for(api: Api, wanted: str, status: int, begin: int, end: int) -> None:
    client = api.by("client")
    where = await begun(client)
    await patched(client, where, 0, DATA)
    for method in ("GET", "HEAD"):
        answer = await client.request(method, f"{where}/content", headers={"Range": wanted})
        assert answer.status_code == status
        if status == 416:
            assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
            continue
        assert answer.headers["Content-Length"] == str(end - begin)
        assert answer.headers.get("Content-Range") == (
            f"bytes {begin}-{end - 1}/{len(DATA)}" if status == 206 else None
        )
        assert answer.content == (DATA[begin:end] if method == "GET" else b"")


async def test_a_part_of_another_version_is_the_whole_and_a_known_version_is_not_told_again(api: Api) -> None:
    client = api.by("client")
    where = await begun(client)
    await patched(client, where, 0, DATA)
    part = {"Range": "bytes=0-9"}
    assert (await client.get(f"{where}/content", headers=part | {"If-Range": f'"{SHA256}"'})).status_code == 206
    assert (await client.get(f"{where}/content", headers=part | {"If-Range": '"other"'})).status_code == 200
    known = await client.get(f"{where}/content", headers={"If-None-Match": f'W/"{SHA256}"'})
    assert (known.status_code, known.content) == (304, b"")


async def test_the_first_bytes_may_come_along(api: Api) -> None:
    client = api.by("client")
    headers = TUS | BYTES | {"Upload-Length": str(len(DATA))}
    answer = await client.post("/v1/uploads", headers=headers, content=DATA[:10])
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "10")
    whole = await client.post("/v1/uploads", headers=headers, content=DATA)
    assert whole.headers["Upload-Offset"] == str(len(DATA))
    assert (await client.get(whole.headers["Location"])).json()["status"] == "finished"


async def test_an_empty_one_is_finished_at_once(api: Api) -> None:
    client = api.by("client")
    where = await begun(client, 0)
    assert (await client.get(where)).json()["status"] == "finished"
    content = await client.get(f"{where}/content")
    assert (content.status_code, content.content) == (200, b"")


@pytest.mark.parametrize("offset", [0, 99, 101, len(DATA)])
async def test_a_wrong_offset_is_told_the_right_one(api: Api, offset: int) -> None:
    client = api.by("client")
    where = await begun(client)
    await patched(client, where, 0, DATA[:100])
    answer = await patched(client, where, offset, b"")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "100")
    assert answer.json()["type"] == "/problems/wrong-offset" and answer.headers["Tus-Resumable"] == "1.0.0"


async def test_beyond_the_end_is_a_wrong_offset_too(api: Api) -> None:
    client = api.by("client")
    answer = await patched(client, await begun(client), len(DATA) + 1, b"more")
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, "0")


async def test_who_sends_bytes_along_that_are_refused_is_told_where_to_go_on(api: Api) -> None:
    client = api.by("client")
    wrong = {"Upload-Checksum": f"sha1 {b64encode(hashlib.sha1(b'other').digest()).decode()}"}
    refused = await client.post(
        "/v1/uploads", headers=TUS | BYTES | wrong | {"Upload-Length": str(len(DATA))}, content=DATA
    )
    assert refused.status_code == 460
    assert (await patched(client, refused.headers["Location"], 0, DATA)).status_code == 204


async def test_of_a_body_that_was_cut_nothing_stays(api: Api) -> None:
    announced = {"Content-Length": str(len(DATA))}
    cut = await api.by("client").post("/v1/videos", content=DATA[:100_000], headers=announced)
    assert cut.status_code == 400 and "ended before" in cut.text
    assert await _lies(api, 0)
    assert (await api.by("client").post("/v1/videos", content=DATA)).status_code == 202
    assert await _lies(api, 0), "and nothing beside the file itself"


async def _lies(api: Api, count: int) -> bool:
    return len([id async for id, _ in store(api).uploads.lying()]) == count


async def test_bytes_that_do_not_sum_up_are_dropped(api: Api) -> None:
    client = api.by("client")
    where = await begun(client)
    for algorithm in ("sha1", "sha256", "md5"):
        good = b64encode(hashlib.new(algorithm, DATA[:100]).digest()).decode()
        wrong = await patched(client, where, 0, DATA[1:101], **{"Upload-Checksum": f"{algorithm} {good}"})
        assert (wrong.status_code, wrong.json()["type"]) == (460, "/problems/wrong-checksum")
        assert (await client.head(where, headers=TUS)).headers["Upload-Offset"] == "0"
    right = await patched(client, where, 0, DATA[:100], **{"Upload-Checksum": f"md5 {good}"})
    assert (right.status_code, right.headers["Upload-Offset"]) == (204, "100")


async def test_a_whole_that_is_not_what_was_announced_is_rejected(api: Api) -> None:
    client = api.by("client")
    where = await begun(client, sha256="0" * 64)
    answer = await patched(client, where, 0, DATA)
    assert answer.status_code == 460 and SHA256 in answer.json()["detail"]
    assert (await client.get(where)).json()["status"] == "rejected"
    assert (await client.head(where, headers=TUS)).status_code == 460
    assert (await client.get(f"{where}/content")).status_code == 460
    assert [id async for id, _ in store(api).uploads.lying()] == []


async def test_a_crash_after_the_last_byte_is_mended_by_the_next_question(api: Api) -> None:
    client = api.by("client")
    where = await begun(client)
    await patched(client, where, 0, DATA[:-1])
    uploads, id = store(api).uploads, _id(where)

    async def last() -> AsyncIterator[bytes]:
        yield DATA[-1:]

    await uploads.write(id, len(DATA) - 1, last(), None)  # and here the process died
    assert (await client.get(where)).json()["status"] == "open"
    assert (await client.head(where, headers=TUS)).headers["Upload-Offset"] == str(len(DATA))
    assert (await client.get(where)).json()["status"] == "finished"
    assert (await client.get(f"{where}/content")).content == DATA


async def test_the_last_piece_sent_twice_changes_nothing(api: Api) -> None:
    client = api.by("client")
    where = await begun(client)
    await patched(client, where, 0, DATA)
    before = await api.stored()
    again = await patched(client, where, len(DATA), b"")
    assert (again.status_code, again.headers["Upload-Offset"]) == (204, str(len(DATA)))
    assert (await patched(client, where, 0, DATA)).status_code == 409
    assert await api.stored() == before


async def test_what_is_given_up_is_gone(api: Api) -> None:
    client = api.by("client")
    for data in (DATA[:5], DATA):
        where = await begun(client)
        await patched(client, where, 0, data)
        assert (await client.delete(where, headers=TUS)).status_code == 204
        assert (await client.delete(where, headers=TUS)).status_code == 410
        assert (await client.head(where, headers=TUS)).status_code == 410
        assert (await patched(client, where, 5, DATA[5:])).status_code == 410
        assert (await client.get(f"{where}/content")).status_code == 410
        assert (await client.get(where)).json()["status"] == "terminated"


async def test_one_that_lies_still_expires_and_its_bytes_go(api: Api) -> None:
    client = api.by("client")
    old, busy = await begun(client), await begun(client)
    await patched(client, old, 0, DATA[:5])
    assert await sweep(api).expire() == 0
    assert await sweep(api, Clock(lambda: api.service.now() + timedelta(days=1, seconds=5))).expire() == 2
    for where in (old, busy):
        asked = await client.head(where, headers=TUS)
        assert asked.status_code == 410
        assert (await client.get(where)).json()["status"] == "expired"
    assert [id async for id, _ in store(api).uploads.lying()] == []


async def test_a_file_that_nothing_holds_is_removed_after_its_time_and_another_is_not(api: Api) -> None:
    client = api.by("client")
    data = os.urandom(100)
    kept, given_up = await begun(client), await begun(client, 100)
    await patched(client, kept, 0, DATA)
    await patched(client, given_up, 0, data)
    await client.delete(given_up, headers=TUS)
    gone = hashlib.sha256(data).hexdigest()
    sweeper = sweep(api)
    assert [await sweeper.collect() for _ in range(2)] == [0, 0], "Facts wait for their numbers."
    await api.number()
    sweeper = sweep(api)
    assert [await sweeper.collect() for _ in range(2)] == [0, 0], "The reader has not been there."
    await api.fold("files")
    assert await sweeper.collect() >= 1
    assert await store(api).files.size(gone) is None
    assert (await client.get(f"{kept}/content")).content == DATA
    again = await begun(client, 100)
    assert (await patched(client, again, 0, data)).status_code == 204
    assert (await client.get(f"{again}/content")).content == data


async def test_a_file_that_is_named_again_while_it_goes_comes_back(api: Api) -> None:
    client = api.by("client")
    first = await begun(client, 3)
    await patched(client, first, 0, b"one")
    await api.sql("UPDATE postcommit.files SET going = true")
    second = await begun(client, 3)
    sending = asyncio.create_task(patched(client, second, 0, b"one"))
    await asyncio.sleep(0.3)
    assert not sending.done(), "Nobody points at what is being removed."
    await store(api).files.remove(hashlib.sha256(b"one").hexdigest())
    await api.sql("DELETE FROM postcommit.files")
    assert (await sending).status_code == 204
    assert (await client.get(f"{second}/content")).content == b"one"


async def test_others_do_not_know_of_it(api: Api) -> None:
    where = await begun(api.by("client"))
    other = api.by("other")
    assert (await other.get(where)).status_code == 404
    assert (await other.head(where, headers=TUS)).status_code == 404
    assert (await patched(other, where, 0, DATA)).status_code == 404
    assert (await other.delete(where, headers=TUS)).status_code == 404
    assert (await other.get(f"{where}/content")).status_code == 404
    assert where.rpartition("/")[2] not in (await other.get("/v1/uploads")).text
    assert (await api.operator.get(where)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        ({"Upload-Length": "5"}, 412, "other-tus"),
        ({"Upload-Length": "5", "Tus-Resumable": "0.2.2"}, 412, "other-tus"),
        (TUS, 422, "invalid"),
        (TUS | {"Upload-Length": "-5"}, 422, "invalid"),
        (TUS | {"Upload-Length": "5", "Upload-Defer-Length": "1"}, 422, "invalid"),
        (TUS | {"Upload-Length": "1000001"}, 413, "too-large"),
        (TUS | {"Upload-Length": "5", "Upload-Metadata": "purpose %%%"}, 422, "invalid"),
        (TUS | {"Upload-Length": "5", "Upload-Metadata": "a YQ==,a YQ=="}, 422, "invalid"),
        (TUS | {"Upload-Length": "5"} | said(purpose="world peace"), 422, "invalid"),
        (TUS | {"Upload-Length": "5"} | said(sha256="ABC"), 422, "invalid"),
        (TUS | {"Upload-Length": "5"} | said(filename="a\nb"), 422, "invalid"),
        (TUS | BYTES | {"Upload-Length": "0", "Upload-Checksum": "crc32 AAAA"}, 422, "invalid"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_writes_nothing(
    api: Api, headers: dict[str, str], status: int, slug: str
) -> None:
    before = await api.stored()
    answer = await api.by("client").post("/v1/uploads", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
    assert await api.stored() == before


async def test_more_bytes_than_were_announced_are_refused(api: Api) -> None:
    client = api.by("client")
    where = await begun(client, 10)
    assert (await patched(client, where, 0, DATA[:11])).status_code == 413

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"four"

    headers = TUS | BYTES | {"Upload-Offset": "0"}
    assert (await client.patch(where, headers=headers, content=endless())).status_code == 413
    assert int((await client.head(where, headers=TUS)).headers["Upload-Offset"]) <= 10


async def test_a_body_of_another_type_is_refused(api: Api) -> None:
    client = api.by("client")
    where = await begun(client)
    answer = await client.patch(where, headers=TUS | {"Upload-Offset": "0"}, json={})
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")


async def test_a_key_announces_so_many_bytes_within_a_day(api: Api) -> None:
    before = await api.service.queries.announced("other", api.service.now() - timedelta(days=1), None)
    async with living(api.dsn, limited(before + 2 * 10**6)) as strict:
        client = strict.by("other")
        for _ in range(2):
            last = await begun(client, 10**6)
        headers = TUS | {"Upload-Length": "1"}
        answer = await client.post("/v1/uploads", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/over-quota")
        assert (await strict.by("operator").post("/v1/uploads", headers=headers)).status_code == 201
        assert (await patched(client, last, 0, DATA)).status_code == 204, "It is within the quota itself."
        await begun(api.by("other"), 10**6)  # elsewhere, where more is allowed
        ids = "SELECT array_agg(stream ORDER BY id DESC) FROM postcommit.events WHERE name = 'upload.begun'"
        over = str((await api.sql(ids))[0]).removeprefix("upload-")
        await store(strict).uploads.begin(UUID(over))
        late = await patched(client, f"/v1/uploads/{over}", 0, DATA)
        assert (late.status_code, late.json()["type"]) == (413, "/problems/over-quota"), (
            "Asked again at its first byte."
        )


async def test_bodies_under_way_count_too(api: Api) -> None:
    before = await api.service.queries.announced("other", api.service.now() - timedelta(days=1), None)
    async with living(api.dsn, limited(before + 2 * len(DATA))) as strict:
        client = strict.by("other")
        answers = await asyncio.gather(*(client.post("/v1/images", content=DATA) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [202] * 2 + [413] * 6
        assert store(strict).under_way == {}


async def test_creations_that_bring_bytes_are_asked_once_more(api: Api) -> None:
    before = await api.service.queries.announced("other", api.service.now() - timedelta(days=1), None)
    async with living(api.dsn, limited(before + 2 * len(DATA))) as strict:
        client = strict.by("other")
        headers = TUS | BYTES | {"Upload-Length": str(len(DATA))}
        asked = (client.post("/v1/uploads", headers=headers, content=DATA[:1]) for _ in range(8))
        answers = await asyncio.gather(*asked)
        taken = [answer for answer in answers if answer.status_code == 201]
        assert len(taken) <= 2, "Others were announced in the same moment."
        assert {answer.json()["type"] for answer in answers if answer not in taken} == {"/problems/over-quota"}


async def test_only_so_many_bring_bytes_at_once(api: Api) -> None:
    client = api.by("client")
    where = await begun(client)
    others = {api.service.new_id() for _ in range(store(api).most_at_once)}
    store(api).under_way.update(dict.fromkeys(others, Coming("somebody", 0)))
    refused = await patched(client, where, 0, DATA)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/overloaded")
    assert refused.headers["Retry-After"] == "1"
    del store(api).under_way[others.pop()]
    assert (await patched(client, where, 0, DATA)).status_code == 204
    assert store(api).under_way.keys() == others


async def test_an_idempotency_key_announces_once(api: Api) -> None:
    client = api.by("client")
    headers = TUS | {"Upload-Length": "5", "Idempotency-Key": str(api.service.new_id())}
    first, again = [await client.post("/v1/uploads", headers=headers) for _ in range(2)]
    assert first.headers["Location"] == again.headers["Location"] and first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len([id async for id, _ in store(api).uploads.lying()]) == 1
    other = await client.post("/v1/uploads", headers=headers | {"Upload-Length": "6"})
    assert (other.status_code, other.json()["type"]) == (422, "/problems/key-reused")


async def test_options_tell_what_is_spoken(api: Api) -> None:
    answer = await api.by(None).options("/v1/uploads")
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,creation-with-upload,expiration,termination,checksum"
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256,sha1,md5"
    assert "POST" in answer.headers["Allow"]


def store(api: Api) -> Intake:
    assert api.service.intake is not None
    return api.service.intake


def sweep(api: Api, clock: Clock = Clock()) -> Sweep:  # noqa: B008
    intake = store(api)
    known = Store(intake.uploads, intake.files, intake.patience, grace=timedelta())
    return Sweep(known, api.service.log, api.database, clock, lambda: None, ())


def _id(where: str) -> UUID:
    return UUID(where.rpartition("/")[2])
