"""The tools of those who work on files, as the settings name them."""

import os
import tempfile
from functools import partial
from pathlib import Path

from adapters.postgres import files
from adapters.postgres.database import Database
from adapters.tools.ffmpeg import Ffmpeg
from adapters.tools.shelf import Shelf
from adapters.workers.films import Needs, Studio
from infra.films import Films
from infra.settings import Settings
from infra.store import Absent, store_of


def shelf_of(settings: Settings, database: Database) -> Shelf:
    """Where the settings name no store, whatever is asked of it says so. Raises Refused."""
    store = store_of(settings)
    return Shelf(
        store.files if store is not None else Absent(),
        partial(files.touch, database),
        partial(files.remembered, database),
        Path(settings.scratch or f"{tempfile.gettempdir()}/postcommit-{os.getuid()}"),
    )


def studio_of(settings: Settings, shelf: Shelf, films: Films, needs: Needs) -> Studio:
    sides = [int(side) for side in settings.video_sides]
    return Studio(films, shelf, Ffmpeg(threads=settings.media_threads), needs, sides, settings.video_preset)
