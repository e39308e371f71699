"""What TorchServe's rows mean, without a handler or a model."""

import json
from typing import Any

import pytest
from ts import service
from ts.context import Context, RequestProcessor

from osteolens.errors import InputError, UnusableImage
from osteolens.rows import ErrorAnswer, content_digest
from osteolens.serving.requests import FAILURE, mark_repeated_parts, refusal, respond, unpack

URL_ENCODED = "application/x-www-form-urlencoded"
FILM = b"\x89PNG film"


def context_of(rows: int) -> Context:
    context = Context("efficientnet", "", {}, rows, None, "0.12.0")
    context.request_processor = [RequestProcessor({}) for _ in range(rows)]
    return context


def test_a_plain_body_is_one_film_with_the_requests_id() -> None:
    [film] = unpack({"body": bytearray(FILM)}, {"X-OsteoLens-Age": "63", "Accept": "*/*"}, "id")
    assert (film.data, film.options, film.id) == (FILM, {"age": "63"}, "id")


def test_films_of_a_form_are_numbered_in_the_order_of_the_form_and_share_its_options() -> None:
    films = unpack(
        {"data": b"1", "explain": " none ", "data10": b"2", "data2": b"3"}, {"x-osteolens-explain": "fem"}, "id"
    )
    assert [(film.data, film.id) for film in films] == [(b"1", "id.1"), (b"2", "id.2"), (b"3", "id.3")]
    assert all(film.options == {"explain": "none"} for film in films)  # a part wins over a header


@pytest.mark.parametrize(
    ("row", "headers", "code", "named"),
    [
        ({}, {}, "empty_body", "no film"),
        ({"explain": b"none"}, {}, "empty_body", "no film"),
        ({"data": FILM, "file": b"x"}, {}, "invalid_option", "'file'"),
        ({FILM.decode("latin-1"): b""}, {}, "invalid_option", "of another name"),
        ({"body": FILM}, {"X-OsteoLens-Explian": "none"}, "invalid_option", "X-OsteoLens-Explian"),
        ({"data": FILM, "age": b"\xff"}, {}, "invalid_option", "part age holds 1 bytes"),
        ({"data": FILM, "target": b"x" * 101}, {}, "invalid_option", "target holds 101 bytes"),
        ({f"data{number}": FILM for number in range(33)}, {}, "too_large", "33 films"),
        ({"body": FILM}, {"X-OsteoLens-Age": "63", "x-osteolens-age": "30"}, "invalid_option", "came twice"),
        ({"RIFF\x80film": b""}, {"content-type": URL_ENCODED}, "unsupported_type", "curl --data-binary"),
        ({}, {"Content-Type": f"{URL_ENCODED}; charset=x"}, "unsupported_type", "curl --data-binary"),
    ],
)
def test_a_request_that_means_nothing_is_refused_with_what_to_send(
    row: dict[str, Any], headers: dict[str, str], code: str, named: str
) -> None:
    with pytest.raises(InputError) as caught:
        unpack(row, headers, "id")
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)
    assert named in caught.value.message
    assert "PNG" not in str(caught.value)


def test_32_films_are_not_too_many() -> None:
    assert len(unpack({f"data{number}": FILM for number in range(32)}, {}, "id")) == 32


@pytest.mark.parametrize("sent", ["osteoporosis", "künstlich", "膝"])
def test_an_option_in_a_header_may_be_in_utf_8(sent: str) -> None:
    received = sent.encode().decode("latin-1")  # as the front end decodes it
    [film] = unpack({"body": FILM}, {"X-OsteoLens-Target": received}, "id")
    assert film.options == {"target": sent}


def rows_of(*requests: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """What a worker makes of requests with these parts."""
    batch = [
        {
            "requestId": b"id",
            "headers": [],
            "parameters": [{"name": name, "contentType": "", "value": value} for name, value in parts],
        }
        for parts in requests
    ]
    rows: list[dict[str, Any]] = service.Service.retrieve_data_for_inference(batch)[1]
    return rows


def test_two_parts_of_one_name_are_refused_instead_of_the_last_one_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    original = service.Service.__dict__["retrieve_data_for_inference"]
    monkeypatch.setattr(service.Service, "retrieve_data_for_inference", original)  # restored afterwards
    mark_repeated_parts()
    films = [("data", FILM), ("data", b"another")]
    options = [("data", FILM), ("age", b"63"), ("age", b"30"), ("sex", b"male")]
    repeated_films, two_films, repeated_options = rows_of(films, [("data", FILM), ("data2", FILM)], options)
    assert len(unpack(two_films, {}, "id")) == 2
    for row in (repeated_films, repeated_options):
        with pytest.raises(InputError, match=r"two form parts have one name \(.*data, data2, data3"):
            unpack(row, {}, "id")


def test_a_refusal_has_the_errors_status_and_a_fault_of_ours_is_logged_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = UnusableImage("the film is blank", "send a knee")
    assert refusal(error) == (422, ErrorAnswer.of(error))
    assert not caplog.text
    assert refusal(RuntimeError("secret path")) == (500, FAILURE)
    assert "secret path" in caplog.text
    assert "secret" not in FAILURE.model_dump_json()


def test_a_response_is_an_object_for_one_film_and_a_list_with_status_200_for_several() -> None:
    context, refused = context_of(2), refusal(UnusableImage("the film is blank", "send a knee"))
    bodies = [respond([refused], 0, context), respond([refused, refused], 1, context)]
    assert [context.get_response_status(row)[0] for row in range(2)] == [422, 200]
    assert [type(json.loads(body)) for body in bodies] == [dict, list]
    for row, body in enumerate(bodies):
        assert context.get_response_content_type(row) == "application/json"
        assert context.get_response_headers(row)["Content-Digest"] == content_digest(body)
