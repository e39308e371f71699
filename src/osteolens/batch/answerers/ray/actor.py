"""Answers films on one core: the models are loaded once, and each call brings some films and takes their rows away."""

# mypy: disable-error-code="import-untyped"
import hashlib
import logging
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from osteolens.batch import reading
from osteolens.batch.answerers.ray import remote
from osteolens.batch.answerers.ray.archive import Model
from osteolens.batch.answerers.ray.films import film_of
from osteolens.batch.answerers.ray.partitions import NAME, STATE
from osteolens.batch.answerers.ray.planning import PARTITION
from osteolens.batch.films import Film, Problem, problem_of
from osteolens.batch.outputs.tables import Layout
from osteolens.batch.reading import Content
from osteolens.batch.rows import (
    AGREEMENT,
    FUSED_SHARES,
    SHARES,
    Row,
    answer_columns,
    failure_columns,
    probability_columns,
)
from osteolens.errors import InputError
from osteolens.files import as_text
from osteolens.films.read import MAX_BYTES
from osteolens.inference.reader import Reader, Request
from osteolens.schema import Answer

SERVER = "ray"
_READERS, _AHEAD = 4, 8
_OWN = pa.schema({NAME: pa.binary(), STATE: pa.binary(), PARTITION: pa.int64()})
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What all actors are told.

    Attributes:
        models: Each answers each film.
        explain: `gradcam` or `none`.
        layout: Of the rows.
    """

    models: Sequence[Model]
    explain: str
    layout: Layout


class FilmReader:
    """Loads the models, and answers films: the callable class of Ray Data's `map_batches`.

    Raises:
        CardError, ExportError: A model's files do not belong together.
    """

    def __init__(self, job: Job) -> None:
        import cv2

        cv2.setNumThreads(1)
        self.explain, self.layout = job.explain, job.layout
        self.schema = pa.unify_schemas([job.layout.schema, _OWN])
        self.readers: dict[str, Reader] = {}
        for model in job.models:
            with tempfile.TemporaryDirectory(prefix="osteolens-") as folder:  # nothing is read later
                self.readers[model.name] = model.load(Path(folder))

    def __call__(self, films: pa.Table) -> pa.Table:
        """The rows of some films: one per film and model, each with the film's hashes and partition.

        Args:
            films: Columns as in `osteolens.batch.answerers.ray.films.SCHEMA`, and `partition`.
        """
        given = films.to_pylist()
        rows: list[dict[str, object]] = []
        for film, content in zip(given, contents(map(film_of, given)), strict=True):
            own = {NAME: film["name"], STATE: film["state"], PARTITION: film[PARTITION]}
            rows += [row | own for row in self._rows(content)]
        return pa.Table.from_pylist(rows, self.schema)

    def _rows(self, content: Content) -> list[Row]:
        film = content.film
        common: Row = {
            "file": as_text(film.file), "path": as_text(film.path), "id": film.id or None, "bytes": film.size,
            "sha256": content.sha256, "server": SERVER, **film.facts,
        }  # fmt: skip
        common |= {self.layout.carried[name]: text for name, text in film.carried.items()}
        rows = [common | {"model": name} | self._row(reader, content) for name, reader in self.readers.items()]
        labels = [row.get("label") for row in rows]
        return [row | {AGREEMENT.name: labels.count(row["label"]) if row.get("label") else None} for row in rows]

    def _row(self, reader: Reader, content: Content) -> Row:
        """What one model says."""
        if content.film.problem:
            problem = content.film.problem
            return failure_columns("failed", problem.code, problem.message) | {"attempts": 0}
        started = time.perf_counter()
        outcome = self._outcome(reader, content)
        taken: Row = {"attempts": 1, "latency_ms": round((time.perf_counter() - started) * 1000, 2)}
        if isinstance(outcome, InputError):
            return failure_columns("refused", outcome.code, str(outcome)) | taken
        if isinstance(outcome, Exception):
            return failure_columns("failed", "internal_error", f"{type(outcome).__name__}: {outcome}") | taken
        row, shares, fused_shares = answer_columns(outcome)
        row |= probability_columns(SHARES, shares, self.layout.labels)
        return row | probability_columns(FUSED_SHARES, fused_shares, self.layout.fused_labels) | taken

    def _outcome(self, reader: Reader, content: Content) -> Answer | Exception:
        """A fault stays with the film that has it: its row says what happened, and the next call tries again."""
        options = {**content.film.facts, "explain": self.explain}
        try:
            return reader.answer(Request(content.data, options, f"{SERVER}-{(content.sha256 or '')[:16]}"))
        except InputError as error:
            return error
        except Exception as error:
            logger.exception("%s could not be answered", content.film.path)
            return error


def contents(films: Iterable[Film]) -> Iterator[Content]:
    """Films with their content, in order; the next ones are read while one is being answered."""
    ahead: deque[Future[Content]] = deque()
    with ThreadPoolExecutor(_READERS) as readers:
        for film in films:
            ahead.append(readers.submit(read, film))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def read(film: Film) -> Content:
    """Read a film's file, or what lies at its address."""
    if film.problem or not remote.is_remote(film.path):
        return reading.read(film)
    if film.size > MAX_BYTES:
        message = f"the file has {film.size:,} bytes (at most {MAX_BYTES:,})"
        return Content(replace(film, problem=Problem("too_large", message)))
    try:
        data = remote.read(film.path)
    except OSError as error:
        return Content(replace(film, problem=problem_of(error)))
    return Content(film, data, hashlib.sha256(data).hexdigest())
