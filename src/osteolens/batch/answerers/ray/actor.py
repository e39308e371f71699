"""Answers films on one core: the models are loaded once, and each call brings some films and takes their rows away."""

# mypy: disable-error-code="import-untyped"
import hashlib
import json
import logging
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from osteolens.batch import reading
from osteolens.batch.answerers.ray import remote
from osteolens.batch.answerers.ray.archive import Model
from osteolens.batch.answerers.ray.films import ANSWERED, film_columns, film_of
from osteolens.batch.films import Film, Problem, problem_of, problem_of_facts
from osteolens.batch.outputs import overlays
from osteolens.batch.outputs.overlays import Look
from osteolens.batch.reading import Content
from osteolens.batch.rows import Row, answer_columns, failure_columns
from osteolens.errors import InputError
from osteolens.films.read import MAX_BYTES
from osteolens.inference.reader import Reader, Request
from osteolens.schema import Answer

SERVER = "ray"
_READERS, _AHEAD = 4, 8
logger = logging.getLogger(__name__)

_Columns = tuple[Row, Mapping[str, float], Mapping[str, float]]


@dataclass(frozen=True)
class Job:
    """What all actors have in common.

    Attributes:
        models: Each answers each film.
        options: `explain`, which is `gradcam` or `none`, and perhaps `force`: texts by name.
        look: Look of the overlays; None for none.
    """

    models: Sequence[Model]
    options: Mapping[str, str]
    look: Look | None


class FilmReader:
    """Loads the models, and answers films: the callable class of Ray Data's `map_batches`.

    Raises:
        CardError, ExportError: A model's files do not belong together.
    """

    def __init__(self, job: Job) -> None:
        import cv2

        cv2.setNumThreads(1)
        self.options, self.look = job.options, job.look
        self.readers: dict[str, Reader] = {}
        for model in job.models:
            with tempfile.TemporaryDirectory(prefix="osteolens-") as folder:  # nothing is read later
                self.readers[model.name] = model.load(Path(folder))

    def __call__(self, films: pa.Table) -> pa.Table:
        """The answers about some films.

        Args:
            films: Columns as in `osteolens.batch.answerers.ray.films.SCHEMA`.

        Returns:
            A row for each film, with columns as in `osteolens.batch.answerers.ray.films.ANSWERED`.
        """
        rows = films.to_pylist()
        answered = [
            row | film_columns(content.film) | {"sha256": content.sha256} | self._answers(content, row["current"])
            for row, content in zip(rows, contents(map(film_of, rows)), strict=True)
        ]
        return pa.Table.from_pylist(answered, ANSWERED)

    def _answers(self, content: Content, current: str) -> dict[str, object]:
        """The answers of all models whose earlier answer does not hold for this content."""
        answers: dict[str, object] = {}
        pictures: list[bytes | None] = []
        if not (content.film.problem or problem_of_facts(content.film.facts)):
            models = [model for model, sha256 in json.loads(current).items() if sha256 != content.sha256]
            for number, model in enumerate(models):
                columns, picture = self._answer(self.readers[model], content)
                answers[model] = [number, *columns]
                pictures.append(picture)
        return {"answers": json.dumps(answers), "overlays": pictures}

    def _answer(self, reader: Reader, content: Content) -> tuple[_Columns, bytes | None]:
        """One model's columns and overlay."""
        started = time.perf_counter()
        outcome = self._outcome(reader, content)
        cost: Row = {"attempts": 1, "latency_ms": round((time.perf_counter() - started) * 1000, 2)}
        if isinstance(outcome, InputError):
            return (failure_columns("refused", outcome.code, str(outcome)) | cost, {}, {}), None
        if isinstance(outcome, Exception):
            message = f"{type(outcome).__name__}: {outcome}"
            return (failure_columns("failed", "internal_error", message) | cost, {}, {}), None
        row, shares, fused_shares = answer_columns(outcome)
        picture = overlays.drawn(content.data, outcome, self.look) if self.look and outcome.explanations else None
        return (row | cost, shares, fused_shares), picture

    def _outcome(self, reader: Reader, content: Content) -> Answer | Exception:
        """A fault stays with the film that has it: its row says what happened, and the next call tries again."""
        options = {**content.film.facts, **self.options}
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
