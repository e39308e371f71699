"""The TorchServe handler: films and options in, answers with heat maps out.

It unpacks what TorchServe hands over and packs what goes back; reading films is `osteolens.inference.reader`'s work.
TorchServe wants exactly one class in this file, and exactly one entry per row of a batch, in order.
"""

import ctypes
import logging
import os
import platform
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from pathlib import Path
from typing import Any

import cv2
from ts import service as torchserve
from ts.metrics.metric_cache_errors import MetricsCacheKeyError
from ts.metrics.metric_type_enum import MetricTypes

import osteolens
from osteolens.card import load_card
from osteolens.errors import EmptyInput, InputError, InputTooLarge, InvalidOption, ServerError, UnsupportedType
from osteolens.inference.reader import Reader, Request
from osteolens.inference.runtimes import Backend, Runtime, load_runtime
from osteolens.inference.runtimes.shared import SharedRuntime
from osteolens.schema import (
    DIGEST_HEADER,
    HEADER_PREFIX,
    OPTION_NAMES,
    Answer,
    ErrorAnswer,
    ErrorDetail,
    Row,
    content_digest,
    dump,
    header_name,
)

MAX_FILMS = 32
"""Films in one request: as many as a slow worker answers well within the response timeout."""

WARM_UP = 4
"""Films answered before a worker is reported ready: the first ones pay for what is set up once."""

Result = tuple[int, Row]
"""HTTP status and what to answer."""

REPEATED = "two parts of one name"
"""A part of a form that no client can send on purpose: `note_repeated_parts` puts it there."""

_FILM_PART = re.compile(r"body|data\d*")
_SHOWN_NAME = re.compile(r"[\w.-]{1,40}", re.ASCII)
_LONGEST_OPTION = 100
_OPTION_BY_HEADER = {header_name(option).lower(): option for option in OPTION_NAMES}
_HINT = "send the film's bytes as the body, or as form parts named data, data2, data3, ..."
_FAILED: Result = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorAnswer(error=ErrorDetail(code="internal_error", message="the server failed", hint="its log says why")),
)
_FILMS, _STEP_SECONDS = "osteolens_films_total", "osteolens_step_seconds"  # as in metrics.yaml
_NOT_IN_METRICS = re.compile(r"[^\w .+-]")  # `,`, `:` and `|` end a label's value in what TorchServe reads
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
logger = logging.getLogger(__name__)


class KneeXray:
    """What TorchServe calls: `initialize` once per worker, `handle` once per batch."""

    reader: Reader
    turn: Callable[[], AbstractContextManager[None]] = nullcontext

    def initialize(self, context: Any) -> None:
        """Load the archive's model and answer a first film, so that a worker reported ready is warm.

        Raises:
            ServerError: `osteolens` comes from elsewhere than the archive.
            ServerError: The metrics are not those of handlers/metrics.yaml.
            CardError, ExportError: Card, weights and exported file do not belong together.
        """
        folder = Path(context.system_properties["model_dir"])
        check_package(folder)
        check_metrics(context.metrics)
        note_repeated_parts()
        config = context.model_yaml_config["handler"]
        threads = int(os.environ.get("OMP_NUM_THREADS", config["threads"]))
        limit_threads(threads)
        keep_freed_memory()
        runtime = load(folder, config["backend"], threads, config["threads_alone"])
        self.reader = Reader(folder, runtime)
        self.turn = runtime.turn if isinstance(runtime, SharedRuntime) else nullcontext
        for _ in range(WARM_UP):
            with self.turn():
                self.reader.warm_up()

    def handle(self, rows: Sequence[Mapping[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch: one JSON body per row, in order, with the row's own status."""
        unpacked = [self._unpack(row, index, context) for index, row in enumerate(rows)]
        with self.turn():
            answered = [
                [self._answer(film) for film in films] if isinstance(films, list) else [films] for films in unpacked
            ]
        for results in answered:
            for _, row in results:
                count(row, context)
        return [_respond(results, index, context) for index, results in enumerate(answered)]

    def _unpack(self, row: Mapping[str, Any], index: int, context: Any) -> list[Request] | Result:
        try:
            return unpack(row, context.get_all_request_header(index), context.get_request_id(index))
        except InputError as error:
            return _result(error)
        except Exception:
            logger.exception("a request could not be unpacked")
            return _FAILED

    def _answer(self, film: Request) -> Result:
        """A fault stays with the film that has it."""
        try:
            (answer,) = self.reader.answer([film])
        except Exception:
            logger.exception("a film could not be answered")
            return _FAILED
        return _result(answer)


def load(folder: Path, backend: Backend, threads: int, threads_alone: int) -> Runtime | None:
    """The archive's model; none for the eager one, which the reader loads itself."""
    if backend == "eager":
        return None
    runtime = load_runtime(folder, load_card(folder), backend, threads)
    if threads_alone == threads or backend == "torchscript":
        return runtime
    return SharedRuntime(
        load_runtime(folder, load_card(folder), backend, threads_alone), runtime, lock=folder / "busy.lock"
    )


def check_package(folder: Path) -> None:
    """Make sure that the code is the archive's own, whatever else is installed or on PYTHONPATH.

    Raises:
        ServerError: Names the place `osteolens` was imported from.
    """
    found = Path(osteolens.__file__).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise ServerError(f"osteolens was imported from {found.parent}, not from the archive: unset PYTHONPATH")


def check_metrics(metrics: Any) -> None:
    """Make sure that TorchServe knows what `count` counts: it drops what is not in its metrics file.

    Raises:
        ServerError: Names the metric that is missing, and the setting.
    """
    try:
        metrics.get_metric(_FILMS, MetricTypes.COUNTER)
        metrics.get_metric(_STEP_SECONDS, MetricTypes.HISTOGRAM)
    except MetricsCacheKeyError as error:
        raise ServerError(f"{error}: set metrics_config=handlers/metrics.yaml in config.properties") from error


def note_repeated_parts() -> None:
    """Let rows show where two parts of a form had one name: TorchServe's worker keeps the last of them alone."""
    unpack_rows = torchserve.Service.retrieve_data_for_inference

    def unpack_noting_repeats(batch: Sequence[dict[str, Any]]) -> Any:
        for request in batch:
            names = Counter(part["name"] for part in request["parameters"])
            if names.total() > len(names):
                request["parameters"].append({"name": REPEATED, "contentType": "", "value": b""})
        return unpack_rows(batch)

    torchserve.Service.retrieve_data_for_inference = staticmethod(unpack_noting_repeats)


def count(row: Row, context: Any) -> None:
    """Count a film by what became of it, and an answered one's seconds: TorchServe's metrics_address shows both."""
    model = context.model_name
    films = context.metrics.get_metric(_FILMS, MetricTypes.COUNTER)
    if isinstance(row, ErrorAnswer):
        outcome = "failed" if row is _FAILED[1] else "refused"
        films.add_or_update(1, [model, outcome, "none", row.error.code])
        return
    films.add_or_update(1, [model, "answered", _NOT_IN_METRICS.sub("_", row.label), "none"])
    seconds = context.metrics.get_metric(_STEP_SECONDS, MetricTypes.HISTOGRAM)
    for step, milliseconds in row.timing_ms:
        seconds.add_or_update(milliseconds / 1000, [model, step])


def limit_threads(threads: int) -> None:
    """Limit each worker's computing threads: workers at the libraries' defaults (all cores) starve each other."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by PyTorch when it is first needed
    cv2.setNumThreads(threads)


def keep_freed_memory() -> None:
    """Let glibc keep what a feature map's buffer leaves free instead of giving it back and fetching it anew.

    The page faults of that took about a quarter of the model's time at 320 x 320; peak memory is the same. Other C
    libraries have no such setting.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * 1024**2)
        libc.mallopt(_M_TRIM_THRESHOLD, 256 * 1024**2)


def unpack(row: Mapping[str, Any], headers: Mapping[str, Any], request_id: str) -> list[Request]:
    """The films of one request, each with the request's options.

    Args:
        row: Part name to content; a plain body is under `body`.
        headers: The request's headers (and, under part names, those of parts).
        request_id: TorchServe's id; several films get it with `.1`, `.2`, ... appended.

    Raises:
        InputError: The request has no film or too many, or a part or header that means nothing.
    """
    _check_form(row, headers)
    films = [_bytes(value) for name, value in row.items() if _FILM_PART.fullmatch(name)]
    options = _header_options(headers) | _part_options(row)
    if not films:
        raise EmptyInput("the request holds no film", _HINT)
    if len(films) > MAX_FILMS:
        raise InputTooLarge(f"the request holds {len(films)} films", f"at most {MAX_FILMS} per request")
    ids = [request_id] if len(films) == 1 else [f"{request_id}.{number}" for number in range(1, len(films) + 1)]
    return [Request(data, options, film_id) for data, film_id in zip(films, ids, strict=True)]


def _check_form(row: Mapping[str, Any], headers: Mapping[str, Any]) -> None:
    kinds = [str(value).lower() for name, value in headers.items() if name.lower() == "content-type"]
    if any(kind.startswith("application/x-www-form-urlencoded") for kind in kinds):
        # TorchServe took the film apart at its `&` and `=`.
        raise UnsupportedType(
            "the body came as a web form, as curl --data-binary sends it",
            "send the film with curl -T film.jpg, or with -H 'Content-Type: application/octet-stream'",
        )
    if REPEATED in row:
        raise InvalidOption("two form parts have one name", f"{_HINT}, each name once")


def _part_options(row: Mapping[str, Any]) -> dict[str, str]:
    parts = {name: value for name, value in row.items() if not _FILM_PART.fullmatch(name)}
    unknown = [repr(name) if _SHOWN_NAME.fullmatch(name) else "of another name" for name in parts.keys() - OPTION_NAMES]
    if unknown:
        shown = ", ".join(sorted(set(unknown))[:5])
        raise InvalidOption(f"unknown form parts {shown}", f"{_HINT} with {', '.join(OPTION_NAMES)}")
    return {name: _option_text(name, _bytes(value)) for name, value in parts.items()}


def _option_text(name: str, value: bytes) -> str:
    """The text in an option's part; a film in its place is not quoted."""
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        text = "\0"
    if len(text) > _LONGEST_OPTION or not text.isprintable():
        raise InvalidOption(f"the form part {name} holds {len(value)} bytes that are no option's text", _HINT)
    return text


def _header_options(headers: Mapping[str, Any]) -> dict[str, str]:
    ours = {name: value for name, value in headers.items() if name.lower().startswith(HEADER_PREFIX.lower())}
    unknown = [name[:60] for name in ours if name.lower() not in _OPTION_BY_HEADER]
    if unknown:
        raise InvalidOption(f"unknown headers {', '.join(unknown)}", f"use {', '.join(map(header_name, OPTION_NAMES))}")
    options = {_OPTION_BY_HEADER[name.lower()]: _header_text(value) for name, value in ours.items()}
    if len(options) < len(ours):  # written alike, the front end keeps the last one alone
        raise InvalidOption(f"one header came twice among {', '.join(ours)}", "send each option once")
    return options


def _header_text(value: Any) -> str:
    """The text of a header: the front end reads each byte as a letter of Latin-1, clients send UTF-8."""
    try:
        return str(value).encode("latin-1").decode()
    except UnicodeError:
        return str(value)


def _bytes(value: Any) -> bytes:
    """A part's bytes; TorchServe turns text and JSON parts into objects unless told not to."""
    return bytes(value) if isinstance(value, bytes | bytearray) else str(value).encode()


def _result(answer: Answer | InputError) -> Result:
    return (answer.status, ErrorAnswer.of(answer)) if isinstance(answer, InputError) else (HTTPStatus.OK, answer)


def _respond(results: list[Result], index: int, context: Any) -> bytes:
    """Set a row's status and headers, and give its body: an object for one film, a list for several."""
    status, row = results[0] if len(results) == 1 else (HTTPStatus.OK, [row for _, row in results])
    context.set_response_status(int(status), HTTPStatus(status).phrase, index)
    context.set_response_content_type(index, "application/json")
    body = dump(row)
    context.set_response_header(index, DIGEST_HEADER, content_digest(body))
    return body
