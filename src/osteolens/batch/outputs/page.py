"""The page of a batch, report.html: one file with small pictures in it and links to the large ones."""

import base64
import io
import os
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Row as Record
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from PIL import Image

from osteolens import __version__
from osteolens.batch.journal import Journal
from osteolens.batch.outputs import statistics
from osteolens.batch.outputs.run_json import Totals
from osteolens.errors import BatchError, InputError
from osteolens.files import write_text
from osteolens.films.read import read

FILE = "report.html"
LISTED, PICTURES, ERRORS = 50, 48, 2000
_SIDE = 220

_environment = Environment(
    # The frame of the page is that of the training's pages.
    loader=ChoiceLoader([PackageLoader("osteolens.batch.outputs"), PackageLoader("osteolens.reports")]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_page(journal: Journal) -> Path:
    """Write the page beside the journal.

    Raises:
        BatchError: It cannot be written.
    """
    first = statistics.look_first(journal, max(LISTED, PICTURES))
    codes, listed = statistics.errors(journal, ERRORS)
    page = _environment.get_template("batch.html").render(
        version=__version__,
        films=statistics.films(journal),
        call=statistics.latest_call(journal),
        totals=Totals.of(journal),
        models=statistics.model_statistics(journal),
        agreements=statistics.agreements(journal),
        first=first[:LISTED],
        divided=statistics.divided(journal, LISTED),
        error_codes=codes,
        errors=listed,
        pictures=list(_pictures(first[:PICTURES], journal.folder)),
        film_link=lambda row: film_link(row, journal.folder),
    )
    path = journal.folder / FILE
    try:
        write_text(path, page)
    except OSError as error:
        raise BatchError(f"{path} cannot be written: {error.strerror}; is the disk full?") from error
    return path


def film_link(row: Record, folder: Path) -> str:
    """The address of a film's file, relative to the page, or that of an object as it is."""
    if b"://" in row["key"]:
        return quote(row["key"], safe="/:")
    return quote(os.path.relpath(row["key"], os.path.realpath(os.fsencode(folder))))


def _pictures(rows: list[Record], folder: Path) -> Iterator[tuple[Record, str, str]]:
    """Row, small picture and link to the large one; films whose picture cannot be shown here are left out."""
    for row in rows:
        overlay, path = row["overlay"], Path(os.fsdecode(row["key"]))
        try:
            picture = Image.open(folder / overlay) if overlay else Image.fromarray(read(path).pixels)
            yield row, _thumbnail(picture), quote(overlay) if overlay else film_link(row, folder)
        except (OSError, InputError):  # moved away meanwhile, or a format that only the server reads
            continue


def _thumbnail(picture: Image.Image) -> str:
    """A picture as a `data:` address of a small JPEG."""
    with picture:
        picture.draft("RGB", (_SIDE, _SIDE))
        picture.thumbnail((_SIDE, _SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
