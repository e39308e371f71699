"""Reads the files of films."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from osteolens.batch.films import Film, Problem, looked_at, problem_of
from osteolens.films.read import MAX_BYTES


@dataclass(frozen=True)
class Content:
    """What is in a film's file.

    Attributes:
        film: With the file's size and time as they were before it was read; with a problem if it could not be.
        data: The bytes.
        sha256: Their SHA-256.
    """

    film: Film
    data: bytes = b""
    sha256: str | None = None


def read(film: Film) -> Content:
    """Read a film's file."""
    # Looked at first: a file that is changed meanwhile then has another time than is noted, and is answered again.
    film = looked_at(film)
    if film.problem:
        return Content(film)
    if film.size > MAX_BYTES:
        message = f"the file has {film.size:,} bytes (at most {MAX_BYTES:,})"
        return Content(replace(film, problem=Problem("too_large", message)))
    try:
        data = Path(film.path).read_bytes()
    except OSError as error:
        return Content(replace(film, problem=problem_of(error)))
    return Content(film, data, hashlib.sha256(data).hexdigest())
