"""A request's body as TorchServe's rows have it: part name to content."""

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from osteolens.errors import InputTooLarge, InvalidOption
from osteolens.serving.requests import MAX_FILMS, REPEATED

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 2 * MAX_FILMS
"""Parts of a form: more than films and options together; a million empty ones would keep a worker for seconds."""

_HINT = "send the film's bytes as the body, or a form as curl -F data=@film.jpg makes it"


def row_of(body: bytes, content_type: str) -> dict[str, bytes]:
    """The parts of a multipart form; any other body whole, under `body`.

    Raises:
        InputError: The form is damaged or has too many parts.
    """
    kind, parameters = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return {"body": body}
    form = _Form()
    try:
        parser = MultipartParser(parameters.get(b"boundary", b""), form.callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InvalidOption(f"the body is no multipart form: {error}", _HINT) from error
    if not form.complete:
        raise InvalidOption("the multipart form breaks off before its last boundary", _HINT)
    return form.row


class _Form:
    """Collects what the parser meets."""

    def __init__(self) -> None:
        self.row: dict[str, bytes] = {}
        self.complete = False
        self._header, self._value, self._name = b"", b"", ""
        self._pieces: list[bytes] = []
        self._parts = 0

    @property
    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InputTooLarge("the form has too many parts", f"at most {MAX_PARTS}, {MAX_FILMS} of them films")
        self._name, self._pieces = "", []

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._name = parse_options_header(self._value)[1].get(b"name", b"").decode("utf-8", "replace")
        self._header = self._value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _end(self) -> None:
        self.row[REPEATED if self._name in self.row else self._name] = b"".join(self._pieces)

    def _finish(self) -> None:
        self.complete = True
