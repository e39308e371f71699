"""All films of a batch as one table that is light enough to hold: some 200 bytes a film."""

# mypy: disable-error-code="import-untyped"
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from osteolens.batch.answerers.ray import remote
from osteolens.batch.films import Film, Problem, Sources
from osteolens.errors import BatchError
from osteolens.files import as_text

DIGEST = 12
"""Bytes of a hash that tells films (and their states) apart: two of a billion are the same once in 10^11 batches."""

SCHEMA = pa.schema(
    {
        "name": pa.binary(), "state": pa.binary(), "path": pa.binary(), "file": pa.binary(), "id": pa.string(),
        "facts": pa.string(), "carried": pa.string(), "size": pa.int64(), "code": pa.string(), "message": pa.string(),
    }
)  # fmt: skip
"""A film: `name` is the hash of what makes it one input, `state` of all that its answer follows from; the rest is as
in `osteolens.batch.films.Film`, names of files as bytes, since not every one is text, and facts as JSON."""

_AT_A_TIME = 4096


def find(names: Sequence[str], out: Path, *, null: bool = False) -> Iterator[remote.Found]:
    """The films of all sources, each with what changes when its file changes.

    Args:
        names: As `osteolens.batch.films.Sources` takes them, or fsspec addresses.
        out: Output folder: what lies there is no input.
        null: Paths on standard input end in a zero byte.

    Raises:
        BatchError: A source is not there, or no table.
    """
    far = [name for name in names if remote.is_remote(name)]
    near = [name for name in names if not remote.is_remote(name)]
    if near or not far:
        for film in Sources(near, out, null):
            if remote.is_remote(film.file):
                yield remote.looked_at(film, film.file)
            else:
                yield film, f"{film.size} {film.mtime_ns}"
    for name in far:
        yield from remote.find(name, out)


def gather(found: Iterable[remote.Found]) -> pa.Table:
    """The films in the order of their paths, each once; columns as in `SCHEMA`.

    Raises:
        BatchError: A film is named twice with different facts about the patient.
    """
    rows = map(_row, found)
    parts = [SCHEMA.empty_table()]
    while part := list(islice(rows, _AT_A_TIME)):
        parts.append(pa.Table.from_pylist(part, SCHEMA))
    table = pa.concat_tables(parts).sort_by([("path", "ascending"), ("id", "ascending")])
    names, facts = table["name"].to_pylist(), table["facts"].to_pylist()
    kept = [index == 0 or name != names[index - 1] for index, name in enumerate(names)]
    for index, first in enumerate(kept):
        if not first and facts[index] != facts[index - 1]:
            raise BatchError(
                f"{os.fsdecode(table['file'][index].as_py())!r} is named twice with different facts about the patient; "
                "give such rows of a table different values in a column `id`"
            )
    return table.filter(pa.array(kept, pa.bool_()))


def film_of(row: Mapping[str, Any]) -> Film:
    """A row of the table as a film again."""
    return Film(
        os.fsdecode(row["path"]),
        os.fsdecode(row["file"]),
        row["id"],
        json.loads(row["facts"]),
        json.loads(row["carried"]),
        size=row["size"],
        problem=Problem(row["code"], row["message"]) if row["code"] else None,
    )


def _row(found: remote.Found) -> dict[str, object]:
    film, version = found
    path, film_id = film.key
    facts, carried = _as_json(film.facts), _as_json(film.carried)
    code, message = (film.problem.code, as_text(film.problem.message)) if film.problem else (None, None)
    return {
        "name": digest(path, film_id.encode()), "path": path, "file": os.fsencode(film.file), "id": film_id,
        "state": digest(version.encode(), facts.encode(), carried.encode(), (code or "").encode()),
        "facts": facts, "carried": carried, "size": film.size, "code": code, "message": message,
    }  # fmt: skip


def digest(*parts: bytes) -> bytes:
    """Hash of some texts, in which their borders count."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8) + part)
    return total.digest()[:DIGEST]


def _as_json(texts: object) -> str:
    return json.dumps(texts, sort_keys=True) if texts else "{}"
