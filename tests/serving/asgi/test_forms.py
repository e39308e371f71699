"""Forms become the rows that TorchServe makes of them."""

import httpx
import pytest

from osteolens.errors import InputTooLarge, InvalidOption
from osteolens.serving.asgi.forms import MAX_PARTS, row_of
from osteolens.serving.requests import REPEATED


def form(*parts: tuple[str, bytes]) -> tuple[bytes, str]:
    """Body and content type of a form."""
    request = httpx.Request("POST", "http://x", files=[(name, (f"{name}.jpg", content)) for name, content in parts])
    return request.read(), request.headers["Content-Type"]


def test_a_form_is_taken_apart_and_any_other_body_stays_whole() -> None:
    film = bytes(range(256)) * 100 + b"\r\n--\r\n"
    assert row_of(*form(("data", film), ("age", b"63"), ("data2", b""))) == {"data": film, "age": b"63", "data2": b""}
    assert row_of(film, "image/jpeg") == {"body": film}
    assert row_of(b"", "") == {"body": b""}


def test_a_name_that_comes_twice_is_marked() -> None:
    assert REPEATED in row_of(*form(("data", b"a"), ("data", b"b")))


def test_names_keep_letters_beyond_ascii() -> None:
    assert row_of(*form(("größe", b"x"))) == {"größe": b"x"}


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=other", None])
def test_a_damaged_form_is_refused_in_words(content_type: str | None) -> None:
    body, own = form(("data", b"film"))
    with pytest.raises(InvalidOption, match="multipart form"):
        row_of(body[:-8], content_type or own)


def test_a_form_of_very_many_parts_is_refused_early() -> None:
    body, content_type = form(*((f"data{number}", b"") for number in range(MAX_PARTS + 1)))
    with pytest.raises(InputTooLarge, match="too many parts"):
        row_of(body, content_type)
