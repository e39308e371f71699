"""Films as rows of Arrow tables, in which Ray carries them to the actors and back."""

# mypy: disable-error-code="import-untyped"
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from osteolens.batch.answerers.ray import remote
from osteolens.batch.films import Film, Problem, Sources, looked_at
from osteolens.batch.work import Task
from osteolens.files import as_text

SCHEMA = pa.schema(
    {
        "path": pa.binary(), "file": pa.binary(), "id": pa.string(), "facts": pa.string(), "carried": pa.string(),
        "size": pa.int64(), "mtime_ns": pa.int64(), "code": pa.string(), "message": pa.string(),
        "current": pa.string(),
    }
)  # fmt: skip
"""A film as in `osteolens.batch.films.Film`, names of files as bytes, since not every one is text, and facts as JSON.
`current` is JSON, too: model to the SHA-256 of the content that its answer holds for, null where it must answer."""

ANSWERED = pa.schema([*SCHEMA, ("sha256", pa.string()), ("answers", pa.string()), ("overlays", pa.list_(pa.binary()))])
"""The same film after an actor has read it: `answers` is a JSON list of the columns, probabilities and fused
probabilities by model, `overlays` their JPEGs in the same order, null where there is none."""

_AT_A_TIME = 4096


class AnySources(Sources):
    """Sources that may be fsspec addresses, too, such as s3://bucket/knees."""

    def count(self) -> int | None:
        """None: all films are found before the first is answered, which gives the number as well."""
        return None

    def __iter__(self) -> Iterator[Film]:
        """All films, with their sizes and times or versions."""
        self.passed_over.clear()
        for name in self.names:
            if remote.is_remote(name):
                yield from remote.find(name, self.out)
                continue
            for film in self._films_of(name):
                yield remote.looked_at(film, film.file) if remote.is_remote(film.file) else looked_at(film)

    def _is_there(self, name: str) -> bool:
        return remote.is_remote(name) or super()._is_there(name)


def gather(tasks: Iterable[Task]) -> pa.Table:
    """Tasks as one table, some 200 bytes a film; columns as in `SCHEMA`."""
    rows = map(_row, tasks)
    parts = [SCHEMA.empty_table()]
    while part := list(islice(rows, _AT_A_TIME)):
        parts.append(pa.Table.from_pylist(part, SCHEMA))
    return pa.concat_tables(parts)


def film_columns(film: Film) -> dict[str, object]:
    """A film as a row; without `current`."""
    path, film_id = film.key
    code, message = (film.problem.code, as_text(film.problem.message)) if film.problem else (None, None)
    return {
        "path": path, "file": os.fsencode(film.file), "id": film_id, "facts": json.dumps(film.facts),
        # Not sorted: the results' own columns come in the order of the input.
        "carried": json.dumps(film.carried), "size": film.size, "mtime_ns": film.mtime_ns, "code": code,
        "message": message,
    }  # fmt: skip


def film_of(row: Mapping[str, Any]) -> Film:
    """A row as a film again."""
    return Film(
        os.fsdecode(row["path"]),
        os.fsdecode(row["file"]),
        row["id"],
        json.loads(row["facts"]),
        json.loads(row["carried"]),
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        problem=Problem(row["code"], row["message"]) if row["code"] else None,
    )


def _row(task: Task) -> dict[str, object]:
    return film_columns(task.film) | {
        "current": json.dumps({model: task.answered_sha256(model) for model in task.known})
    }
