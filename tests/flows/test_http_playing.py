"""Who may play a video, and for how long: with a key, or by the address that whoever may see it was told."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain import compose, video
from domain.file import File
from domain.log import Entry, Meta
from infra.clock import new_id
from tests.domain.test_video import CREATED, SMALL, STILLS, planned, playable
from tests.flows.conftest import Api
from tests.making import NOON

FILM = b"the bytes of a film, as they were packed"


@pytest.fixture
async def film(api: Api) -> UUID:
    """A video of the client that can be played in one size; its media is FILM."""
    file = await _stored(api, FILM)
    events = [
        CREATED,
        planned(),
        video.RenditionReady(playable=replace(playable(SMALL), media=file)),
        video.StillsReady(stills=STILLS),
    ]
    return await _written(api, events)


async def test_whoever_was_told_of_a_film_plays_it_without_a_key(api: Api, film: UUID) -> None:
    async with api.by("client") as http:
        shown = (await http.get(f"/v1/videos/{film}")).json()
        by_key = await http.get(f"/v1/videos/{film}/files/master.m3u8")
    hls = shown["playback"]["hls"]
    assert shown["playback"]["mp4"] is None, "the best size is not ready"
    async with api.by(None) as http:
        master = await http.get(hls)
        assert (master.status_code, master.content) == (200, by_key.content)
        assert "360p.m3u8" in master.text and "720p" not in master.text
        assert master.headers["access-control-allow-origin"] == "*"
        media = hls.replace("master.m3u8", "360p.mp4")
        part = await http.get(media, headers={"Range": "bytes=4-8"})
        assert (part.status_code, part.content) == (206, FILM[4:9])
        assert part.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-origin" not in by_key.headers
        again = await http.get(hls, headers={"If-None-Match": master.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await http.get(hls.replace("master.m3u8", "video.mp4"))).status_code == 404


async def test_no_other_film_is_played_by_it(api: Api, film: UUID) -> None:
    other = await _written(api, [CREATED, planned(), video.RenditionReady(playable=playable(SMALL))], "other")
    async with api.by("client") as http:
        ticket = (await http.get(f"/v1/videos/{film}")).json()["playback"]["hls"].split("/")[3]
        assert (await http.get(f"/v1/videos/{other}/files/master.m3u8")).status_code == 404
    async with api.by("other") as http:
        told = (await http.get(f"/v1/videos/{other}")).json()["playback"]["hls"].split("/")[3]
    assert ticket != told
    changed = [ticket[:at] + ("A" if ticket[at] != "A" else "B") + ticket[at + 1 :] for at in range(len(ticket) - 2)]
    async with api.by(None) as http:
        for one in ["", "x", "ä", "A" * 5_000, ticket[:-4], ticket + "AAAA", *changed]:
            assert (await http.get(f"/v1/play/{one}/master.m3u8")).status_code == 404, one
        assert (await http.get(f"/v1/play/{ticket}/master.m3u8")).status_code == 200


async def test_it_ends_with_its_time_and_with_its_key_and_with_the_film(api: Api, film: UUID) -> None:
    async with api.by("client") as http:
        hls = (await http.get(f"/v1/videos/{film}")).json()["playback"]["hls"]
        now = api.service.now
        async with api.by(None) as player:
            _turn(api, now, timedelta(hours=11, minutes=59))
            assert (await player.get(hls)).status_code == 200
            _turn(api, now, timedelta(hours=13, minutes=1))
            ended = await player.get(hls)
            assert (ended.status_code, ended.json()["type"]) == (410, "/problems/gone")
            _turn(api, now, timedelta())
            await api.sql("UPDATE postcommit.keys SET revoked_at = now() WHERE name = 'client'")
            assert (await player.get(hls)).status_code == 404
            await api.sql("UPDATE postcommit.keys SET revoked_at = NULL WHERE name = 'client'")
            assert (await player.get(hls)).status_code == 200
            assert (await http.delete(f"/v1/videos/{film}")).status_code == 202
            assert (await player.get(hls)).status_code == 410


async def test_a_deletion_asked_for_again_is_answered_as_before(api: Api, film: UUID) -> None:
    async with api.by("client", **{"Idempotency-Key": "gone"}) as http:
        first, again = [await http.delete(f"/v1/videos/{film}") for _ in range(2)]
        assert (first.status_code, again.status_code, again.content) == (202, 202, first.content)
    async with api.by("client") as http:
        assert (await http.delete(f"/v1/videos/{film}")).status_code == 410


def _turn(api: Api, now: Any, further: timedelta) -> None:
    object.__setattr__(api.app.state.desk.service, "now", lambda: now() + further)


async def _stored(api: Api, content: bytes) -> File:
    intake, id = api.service.intake, new_id()
    assert intake is not None

    async def chunks() -> Any:
        yield content

    await intake.uploads.begin(id)
    await intake.uploads.write(id, 0, chunks(), None)
    file = await intake.uploads.sum(id, len(content))
    await intake.uploads.keep(id, file)
    return file


async def _written(api: Api, events: Sequence[video.Event], owner: str = "client") -> UUID:
    id = new_id()
    facts = compose.of_thing(id, 0, events, Meta(actor=owner, request_id="r", correlation_id="c"), NOON, new_id)
    await api.service.log.append(Entry(facts))
    return id
