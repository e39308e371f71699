"""Reads films, a bounded number of bytes at a time."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from osteolens.batch.films import Film, Problem, looked_at, problem_of
from osteolens.films.read import MAX_BYTES

HELD_BYTES = 96 * 1024**2
"""Films in memory at a time; one that is larger comes alone."""


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
    # Looked at first: a file that is changed meanwhile then has another time than is noted, and is asked about again.
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


def read_all(films: Sequence[Film]) -> list[Content]:
    """Read some films' files."""
    return [read(film) for film in films]


class Budget:
    """Bytes that may be held at a time."""

    def __init__(self, size: int = HELD_BYTES) -> None:
        self._size = size
        self._held = 0
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Wait until so many bytes more may be held, and hold them."""
        if self._held and self._held + size > self._size:
            async with self._freed:
                await self._freed.wait_for(lambda: not self._held or self._held + size <= self._size)
                self._held += size
        else:
            self._held += size
        try:
            yield
        finally:
            self._held -= size
            async with self._freed:
                self._freed.notify_all()
