"""Several files in one request: each of them is kept, small or large, and told of in the order of the form."""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from adapters.files.objects import ObjectFiles, ObjectUploads
from adapters.http.service import Service
from tests.flows.conftest import Api, living
from tests.objects import bucket

KIB = 1024


@pytest.fixture(params=["folder", "bucket"])
async def api(request: pytest.FixtureRequest, dsn: Callable[[str], str]) -> AsyncIterator[Api]:
    """Over both kinds of store."""
    found = bucket(request.getfixturevalue("s3")) if request.param == "bucket" else None

    def change(service: Service) -> Service:
        if found is None or service.intake is None:
            return service
        return replace(service, intake=replace(service.intake, uploads=ObjectUploads(found), files=ObjectFiles(found)))

    async with living(dsn("postcommit"), change) as api:
        yield api


async def test_small_and_large_ones_are_kept_in_their_order(api: Api) -> None:
    chance = random.Random(5)
    sizes = [0, 1, 3_000 * KIB, 5, 1_024 * KIB, 1_024 * KIB + 1, *[300 * KIB] * 9, 7]
    contents = [chance.randbytes(size) for size in sizes]
    form = [("files", (f"{number}.png", content, "image/png")) for number, content in enumerate(contents)]
    answer = await api.operator.post("/v1/images/batch", files=form)
    assert answer.status_code == 202, answer.text
    store = api.service.intake
    assert store is not None
    for one, content in zip(answer.json()["images"], contents, strict=True):
        shown = (await api.operator.get(f"/v1/images/{one['image']}")).json()
        assert (shown["sha256"], shown["size_bytes"]) == (sha256(content).hexdigest(), len(content))
        assert b"".join([chunk async for chunk in store.files.read(shown["sha256"], 0, len(content))]) == content
        assert await api.database.fetch("touch_files", [shown["sha256"]], [len(content)]), "its row is there"
    assert [id async for id, _ in store.uploads.lying()] == [], "nothing is left of what was on its way"
    assert not store.under_way


async def test_a_form_that_is_cut_counts_for_nothing(api: Api) -> None:
    part = b"--x\r\nContent-Disposition: form-data; name=a; filename=a.png\r\n\r\n%b\r\n"
    form = part % b"one" + part % bytes(2_000 * KIB) + part[:40]
    head = {"Content-Type": "multipart/form-data; boundary=x"}
    before = await api.sql("SELECT count(*) FROM postcommit.events")
    answer = await api.operator.post("/v1/images/batch", content=form, headers=head)
    assert answer.status_code == 400, answer.text
    assert await api.sql("SELECT count(*) FROM postcommit.events") == before
    store = api.service.intake
    assert store is not None and [id async for id, _ in store.uploads.lying()] == []
