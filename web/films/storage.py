"""Files of the films: below settings.DATA_FOLDER, outside of everything that is served by address.

films/<2 hex>/<uuid>/original             the bytes as given
                     display.png          8-bit grey, as `osteolens.films.read` reads it
                     thumb.jpg
                     maps/<uuid>/<n>.png  the n-th explanation of the reading whose `maps` names the folder
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.http import Http404

ORIGINAL, DISPLAY, THUMB, MAPS = "original", "display.png", "thumb.jpg", "maps"


class Gone(Http404):
    """A file that its row speaks of is not there: the film is being deleted."""


def films_folder() -> Path:
    """The folder of all films."""
    path: Path = settings.DATA_FOLDER / "films"
    return path


def folder(film_id: UUID) -> Path:
    """The folder of one film."""
    return films_folder() / film_id.hex[:2] / str(film_id)


def original(film_id: UUID) -> Path:
    """The bytes as given."""
    return folder(film_id) / ORIGINAL


def map_file(film_id: UUID, maps: UUID, index: int) -> Path:
    """The grey PNG of one explanation."""
    return folder(film_id) / MAPS / str(maps) / f"{index}.png"


def write(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file into folders that only this user may look into.

    Args:
        path: Target; an older file is replaced.
        content: The whole file.
        durable: Wait until it would survive a power cut: for what cannot be made again.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The mode is set as the file is created: a chmod afterwards leaves a moment in which others can read it.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())


def read(path: Path) -> bytes:
    """A stored file.

    Raises:
        Gone: The film was deleted meanwhile.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Gone("the file is gone") from None


def remove(film_id: UUID) -> None:
    """Delete a film's folder; without harm if it is gone already."""
    shutil.rmtree(folder(film_id), ignore_errors=True)


def remove_maps(film_id: UUID, maps: UUID) -> None:
    """Delete the maps of an answer that was not kept."""
    shutil.rmtree(folder(film_id) / MAPS / str(maps), ignore_errors=True)


def groups() -> Iterator[Path]:
    """The folders that hold the folders of films."""
    yield from films_folder().glob("[0-9a-f][0-9a-f]")
