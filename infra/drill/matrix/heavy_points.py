"""The crash points of the heavy work: of uploads, films, images, reports, and of the index of the search."""

from collections.abc import Mapping

from domain.upload import Finished
from infra.drill.matrix.passing import Asked, always, ended, lies_at, named, says, tells
from infra.drill.matrix.point import Point

UPLOADS, WRITER = "adapters.files.local_uploads:LocalUploads", "adapters.files.local_uploads:_Writer"
NAMING, SUMMING = "adapters.files.local:LocalFiles.put", "adapters.tools.shelf:_summed"
TOUCHING, TAKING = "adapters.postgres.files:touch", "adapters.files.local:LocalFiles.add"
APPEND, SETTLE = "adapters.postgres.log:PostgresLog.append", "adapters.postgres.tasks:PostgresTasks.settle"
FFMPEG, FILMS = "adapters.tools.ffmpeg:Ffmpeg", "infra.films:Films"
PAPER, REPORTS = "adapters.tools.paper:Paper", "infra.reports:Reports"
REBUILD, EXECUTE = "adapters.postgres.search:Rebuild", "sqlalchemy.ext.asyncio:AsyncConnection.execute"
SENT = ("upload", "plain upload")
SMALLEST, SECTION = "160.webp", "out.pdf"


def _around(before: str, behind: str, role: str, where: str, *kinds: str, asked: Asked = always) -> dict[str, Point]:
    """Two points: before a call, and after it."""
    return {
        before: Point(role, where, asked=asked, kinds=kinds),
        behind: Point(role, where, after=True, asked=asked, kinds=kinds),
    }


def _made(what: str, name: str, task: str, *kinds: str) -> dict[str, Point]:
    """The way of a file from a child into the store and into the log."""
    return {
        f"{what} verified": Point("worker", SUMMING, after=True, asked=lies_at(name), kinds=kinds),
        **_around(f"{what} to be named", f"{what} named", "worker", NAMING, *kinds, asked=named(name)),
        **_around(f"{what} to be recorded", f"{what} recorded", "worker", SETTLE, *kinds, asked=ended(task)),
    }


HEAVY: Mapping[str, Point] = {
    **_around("upload to be begun", "upload begun, not announced", "api", f"{UPLOADS}.begin", "upload"),
    **_around("bytes to be written", "bytes written, not synced", "api", f"{WRITER}.add", *SENT),
    **_around("last bytes to be kept", "bytes kept, offset not told", "api", f"{WRITER}.end", *SENT),
    "offset to be told": Point("api", "adapters.http.uploads:_told", kinds=SENT),
    **_around("upload to be summed", "upload summed", "api", f"{UPLOADS}.sum", "upload"),
    "upload to be catalogued": Point("api", TOUCHING, kinds=("upload", "image")),
    "upload catalogued": Point("api", TOUCHING, after=True, kinds=("upload", "image")),
    **_around("upload to be named", "upload named", "api", f"{UPLOADS}.keep", "upload"),
    **_around("upload to be finished", "upload finished", "api", APPEND, *SENT, asked=tells(Finished)),
    **_around("upload to be cleared", "upload cleared", "api", f"{UPLOADS}.drop", "upload"),
    **_around("small file to be taken in", "small file taken in", "api", TAKING, "image", "film"),
    **_around("film to be looked into", "film looked into", "worker", f"{FFMPEG}.look", "film"),
    **_around("film to be contained", "film contained", "worker", f"{FFMPEG}.contain", "foreign film"),
    **_around("film to be planned", "film planned", "worker", f"{FILMS}.plan", "film"),
    **_around("segment to be coded", "segment coded", "worker", f"{FFMPEG}.segment", "film"),
    **_made("segment", "segment.mp4", "video_segment", "film"),
    "segment catalogued": Point("worker", TOUCHING, after=True, kinds=("film",)),
    "named, name to be synced": Point("worker", "adapters.files.local:sync", kinds=("film", "image", "report")),
    **_around("sound to be coded", "sound coded", "worker", f"{FFMPEG}.sound", "film"),
    **_made("sound", "sound.m4a", "video_sound", "film"),
    "pieces laid out": Point("worker", "adapters.workers.video_package:_lay_out", after=True, kinds=("film",)),
    **_around("film to be joined", "film joined", "worker", f"{FFMPEG}.package", "film"),
    **_made("rendition", "media.mp4", "video_package", "film"),
    **_around("rendition to be told", "rendition told", "worker", f"{FILMS}.ready", "film"),
    **_around("poster to be taken", "poster taken", "worker", f"{FFMPEG}.stills", "film"),
    **_made("poster", "poster.jpg", "video_stills", "film"),
    **_around("poster to be told", "poster told", "worker", f"{FILMS}.show", "film"),
    **_around("sizes to be made", "sizes made", "worker", "adapters.tools.images:Images.sizes", "image"),
    **_made("sizes", SMALLEST, "image_sizes", "image"),
    **_around("report to be counted", "report counted", "worker", f"{REPORTS}.settled", "report"),
    **_around("report to be planned", "report planned", "worker", f"{REPORTS}.plan", "report"),
    **_around("section to be set", "section set", "worker", f"{PAPER}.set", "report"),
    **_made("section", SECTION, "report_section", "report"),
    **_around("report to be bound", "report bound", "worker", f"{PAPER}.bind", "report"),
    **_around("report to be completed", "report completed", "worker", f"{REPORTS}.complete", "report"),
    **_around("report to be recorded", "report recorded", "worker", SETTLE, "report", asked=ended("report_bind")),
    **_around("rebuild to begin", "rebuild begun", "worker", f"{REBUILD}.begin", "search"),
    **_around("step to be applied", "step applied", "worker", f"{REBUILD}.step", "search"),
    **_around("index to be swapped", "index swapped", "worker", f"{REBUILD}.swap", "search"),
    "index swapped, not committed": Point("worker", EXECUTE, after=True, asked=says("swap_search"), kinds=("search",)),
    "index swapped, mark to go": Point(
        "worker", EXECUTE, asked=says("DELETE FROM postcommit.search_rebuild"), kinds=("search",)
    ),
    **_around("old index to be dropped", "old index dropped", "worker", f"{REBUILD}.clear", "search"),
    **_around("rebuild to be recorded", "rebuild recorded", "worker", SETTLE, "search", asked=ended("search_rebuild")),
    **_around("things to be removed", "things removed", "worker", "infra.removal:Removal.remove", "removal"),
}
