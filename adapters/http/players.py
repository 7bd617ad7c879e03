"""What players read: playlists, films, thumbnails, with a key or by a ticket."""

from hashlib import sha256
from uuid import UUID

from litestar import Response
from litestar.params import FromPath

from adapters.http import ticket as tickets
from adapters.http.admission import intake
from adapters.http.auth import needs
from adapters.http.desk import Call
from adapters.http.files import content, served
from adapters.http.methods import get
from adapters.http.plain import Plain
from adapters.http.playing import Names, playlist_of, thumbnails_of, variants_of
from adapters.http.problems import Problem
from adapters.http.shown import id_of, matches, tags
from adapters.http.videos import VIDEOS
from domain.access import Right

ANYWHERE = {"Access-Control-Allow-Origin": "*"}  # a page of another origin may play what it has the ticket for
FILE = served("see_video_file", "Videos", ["not-found"], texts=True)
PLAY = served("play_video_file", "Videos", ["not-found"], may=[*ANYWHERE], texts=True)


@get("/v1/videos/{id:str}/files/{name:str}", opt=needs(Right.READ_ACCOUNTS) | FILE)
async def see_video_file(request: Call, id: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """What is played: `master.m3u8`, of each rendition `720p.m3u8` and `720p.mp4`, and `video.mp4`, `poster.jpg`,
    `storyboard.jpg`, `storyboard.vtt`, each once it is ready."""
    return await _file(request, id_of(id), name)


@get("/v1/play/{ticket:str}/{name:str}", opt=PLAY)
async def play_video_file(request: Call, ticket: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """The same without a key, for players: `playback` and `poster` of a video lead here. Such an address is good for 12
    hours and more, and no longer than the key of whoever asked."""
    answer = await _file(request, await tickets.opened(request, ticket), name)
    answer.headers.update(ANYWHERE)
    return answer


async def _file(request: Call, id: UUID, name: str) -> Response[bytes]:
    found = VIDEOS.folded(await VIDEOS.present(request, id))
    names, files = Names(found), intake(request).files
    if name == names.MASTER and found.playables:
        return _text(request, variants_of(found), names.PLAYLIST_TYPE)
    if name == names.THUMBNAILS and found.stills is not None:
        return _text(request, thumbnails_of(found.stills, found), "text/vtt; charset=utf-8")
    if (playable := names.playlist(name)) is not None:
        whole = files.read(playable.playlist.sha256, 0, playable.playlist.size_bytes)
        text = b"".join([chunk async for chunk in whole]).decode()
        return _text(request, playlist_of(playable, text), names.PLAYLIST_TYPE)
    if (named := names.file(name)) is None:
        raise Problem("not-found", f"The video {id} has no file {name[:64]!r}, or not yet.")
    file, media_type = named
    return await content(request, files, file, media_type, name, inline=True)


def _text(request: Call, text: str, media_type: str) -> Response[bytes]:
    body = text.encode()
    told = {"ETag": f'"{sha256(body).hexdigest()}"', "Cache-Control": "private, no-cache"}
    if matches(told["ETag"], tags(request, "if-none-match")):
        return Response(b"", status_code=304, headers=told)
    return Plain(body, 200, told, media_type)
