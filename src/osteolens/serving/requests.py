"""What requests mean, whichever engine serves: films and options in a request, answers and refusals in a response."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from osteolens.errors import EmptyInput, InputError, InputTooLarge, InvalidOption, UnsupportedType
from osteolens.inference.reader import Reader, Request
from osteolens.options import HEADER_PREFIX, OPTION_NAMES, header_name
from osteolens.rows import DIGEST_HEADER, ErrorAnswer, ErrorDetail, FilmRefused, Refusal, Row, content_digest, dump

MAX_FILMS = 32
"""Films in one request: as many as a slow worker answers well within the response timeout."""

REPEATED = "two parts of one name"
"""Name of a form part that no client can send on purpose: `mark_repeated_parts` adds it."""

FAILURE = ErrorAnswer(error=ErrorDetail(code="internal_error", message="the server failed", hint="its log says why"))
"""The answer where the fault is the server's."""

Result = tuple[int, Row]
"""HTTP status and answer of one film, or of a request that has no film."""


class Tally(NamedTuple):
    """What is counted of a film: the labels of osteolens_films_total, and for an answered one the seconds by step."""

    outcome: str
    label: str
    code: str
    seconds: dict[str, float]


_NOT_IN_A_METRIC = re.compile(r"[^\w .+-]")  # TorchServe ends a label's value at `,`, `:` and `|`

_FILM_PART = re.compile(r"body|data\d*")
_SHOWN_NAME = re.compile(r"[\w.-]{1,40}", re.ASCII)
_LONGEST_OPTION = 100
_OPTION_BY_HEADER = {header_name(option).lower(): option for option in OPTION_NAMES}
_HINT = "send the film's bytes as the body, or as form parts named data, data2, data3, ..."
logger = logging.getLogger(__name__)


def mark_repeated_parts() -> None:
    """Let rows show where two parts of a form had one name: TorchServe's worker keeps only the last of them."""
    from ts import service as torchserve  # the other engine does without it

    unpack_rows = torchserve.Service.retrieve_data_for_inference

    def unpack_and_mark(batch: Sequence[dict[str, Any]]) -> Any:
        for request in batch:
            names = Counter(part["name"] for part in request["parameters"])
            if names.total() > len(names):
                request["parameters"].append({"name": REPEATED, "contentType": "", "value": b""})
        return unpack_rows(batch)

    torchserve.Service.retrieve_data_for_inference = staticmethod(unpack_and_mark)


def answer(reader: Reader, row: Mapping[str, Any], headers: Mapping[str, Any], request_id: str) -> list[Result]:
    """The result of each film of one request, or a single refusal of the request; arguments as those of `unpack`."""
    try:
        films = unpack(row, headers, request_id)
    except Exception as error:  # noqa: BLE001 - `refusal` logs what is not an InputError
        return [refusal(error)]
    return [_read(reader, film) for film in films]


def _read(reader: Reader, film: Request) -> Result:
    """The answer to one film; an error is that film's alone."""
    try:
        return HTTPStatus.OK, reader.answer(film)
    except FilmRefused as refused:
        return HTTPStatus.OK, refused.row
    except Exception as error:  # noqa: BLE001 - `refusal` logs what is not an InputError
        return refusal(error)


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


def refusal(error: Exception) -> Result:
    """The result for an error; one that is not the sender's fault is logged with its traceback and not shown."""
    if isinstance(error, InputError):
        return error.status, ErrorAnswer.of(error)
    logger.error("a film could not be answered", exc_info=error)
    return HTTPStatus.INTERNAL_SERVER_ERROR, FAILURE


def tally(row: Row) -> Tally:
    """What is counted of a film's answer or refusal."""
    if isinstance(row, ErrorAnswer):
        return Tally("failed" if row is FAILURE else "refused", "none", row.error.code, {})
    if isinstance(row, Refusal):
        return Tally("refused", "none", row.quality.reasons[0].code, {})
    seconds = {step: milliseconds / 1000 for step, milliseconds in row.timing_ms}
    return Tally("answered", _NOT_IN_A_METRIC.sub("_", row.label), "none", seconds)


def response(results: Sequence[Result]) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and further headers of a request's response: an object for one film, a list for several.

    `retry-after` is for one film that may be answered later; several have no time in common.
    """
    status, row = results[0] if len(results) == 1 else (HTTPStatus.OK, [row for _, row in results])
    wait = row.error.retry_after if isinstance(row, ErrorAnswer) else None
    return int(status), dump(row), {} if wait is None else {"retry-after": str(wait)}


def respond(results: Sequence[Result], index: int, context: Any) -> bytes:
    """Set the status and headers of a row's response in TorchServe's context, and return its body.

    Args:
        results: Those of the row's films.
        index: The row's place in the batch.
        context: TorchServe's, which takes status and headers.
    """
    status, body, headers = response(results)
    context.set_response_status(status, HTTPStatus(status).phrase, index)
    context.set_response_content_type(index, "application/json")
    for name, value in headers.items():
        context.set_response_header(index, name, value)
    context.set_response_header(index, DIGEST_HEADER, content_digest(body))
    return body


def _check_form(row: Mapping[str, Any], headers: Mapping[str, Any]) -> None:
    types = [str(value).lower() for name, value in headers.items() if name.lower() == "content-type"]
    if any(content_type.startswith("application/x-www-form-urlencoded") for content_type in types):
        # TorchServe's front end has split the film at its `&` and `=`.
        raise UnsupportedType(
            "the body came as a web form, as curl --data-binary sends it",
            "send the film with curl -T film.jpg, or with -H 'Content-Type: application/octet-stream'",
        )
    if REPEATED in row:
        raise InvalidOption("two form parts have one name", f"{_HINT}, each name once")


def _part_options(row: Mapping[str, Any]) -> dict[str, str]:
    parts = {name: value for name, value in row.items() if not _FILM_PART.fullmatch(name)}
    # A film that was sent wrongly arrives as a part's name: only what looks like a name is repeated.
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
    if len(options) < len(ours):  # where both are spelt the same, the front end has dropped one already
        raise InvalidOption(f"one header came twice among {', '.join(ours)}", "send each option once")
    return options


def _header_text(value: Any) -> str:
    """The text of a header: the front end decodes it as Latin-1, clients send UTF-8."""
    try:
        return str(value).encode("latin-1").decode()
    except UnicodeError:
        return str(value)


def _bytes(value: Any) -> bytes:
    """A part's bytes; TorchServe turns text and JSON parts into objects unless it is configured not to."""
    return bytes(value) if isinstance(value, bytes | bytearray) else str(value).encode()
