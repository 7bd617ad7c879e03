"""The store of files, as the settings name it."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from adapters.files.local import LocalFiles, LocalUploads
from domain.file import Files, Uploads
from infra.exits import Refused
from infra.settings import Settings


@dataclass(frozen=True, slots=True)
class Store:
    uploads: Uploads
    files: Files
    patience: timedelta  # an upload expires when no byte came for so long
    grace: timedelta  # a file that nothing holds any more is kept for so long


def store_of(settings: Settings) -> Store | None:
    """None where the settings name none. Raises Refused where it cannot be used."""
    if not settings.files:
        return None
    folder = Path(settings.files)
    try:
        uploads = LocalUploads(folder)
    except OSError as error:
        raise Refused(
            f"The setting files should be a folder that can be written to, and it is {settings.files!r}: {error}."
        ) from error
    patience, grace = timedelta(seconds=settings.upload_patience_s), timedelta(seconds=settings.files_grace_s)
    return Store(uploads, LocalFiles(folder), patience, grace)
