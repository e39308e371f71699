"""CSV for spreadsheets."""

import csv
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import StreamingHttpResponse

from films.models import Film
from osteolens.files import harmless

COLUMNS = (
    "id", "name", "patient_name", "side", "view", "taken_on",
    "label_text", "note", "age", "sex", "weight_kg", "height_m", "width", "height", "format", "bytes",
    "sha256", "uploaded_at", "state", "model", "model_version", "headline", "lead",
    "label", "probability", "t_score", "triage", "output", "outdated", "warnings",
)  # fmt: skip


class _Echo:
    """A file that gives back what is written."""

    def write(self, text: str) -> str:
        return text


def csv_response(name: str, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> StreamingHttpResponse:
    """A CSV download, written as it is read."""
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield "\ufeff"  # or Excel takes it for something other than UTF-8
        yield writer.writerow(header)
        for row in rows:
            yield writer.writerow([harmless(cell) for cell in row])

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def films_csv(films: Iterable[Film]) -> StreamingHttpResponse:
    """The history as a table."""
    rows = ([*(getattr(film, column) for column in COLUMNS[:-1]), "; ".join(film.all_warnings)] for film in films)
    return csv_response("films.csv", COLUMNS, rows)
