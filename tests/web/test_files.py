"""Pictures and downloads of a film."""

import base64
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from accounts.models import AuditEntry
from django.test import Client
from fake_reader import FakeReader
from films import storage
from films.colours import TABLES
from films.models import Film
from pdf_pages import pdf_text
from PIL import Image
from refusals import check_refusals
from support.dicom import dataset, save
from web_films import film_bytes

from osteolens.films import overlay
from osteolens.schema import Answer


def opened(response: Any) -> Image.Image:
    content = response.getvalue() if response.streaming else response.content
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(
    "name", ["picture.png", "thumb.jpg", "overlay.png", "answer.json", "report.pdf", "original", "values"]
)
def test_refusals(client: Client, stranger: Client, film: Film, name: str) -> None:
    check_refusals(client, stranger, lambda film_id: f"/films/{film_id}/{name}", "GET", film)


def test_the_picture_is_encoded_anew(client: Client, send: Callable[..., Any]) -> None:
    """Turned as its EXIF says, and without the EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter, clockwise
    exif[0x010E] = "a secret name"
    data = film_bytes(kind="JPEG", exif=exif)
    assert b"a secret name" in data
    film_id = send(data).json()["id"]
    response = client.get(f"/films/{film_id}/picture.png")
    content = response.getvalue()
    assert b"a secret name" not in content
    picture = Image.open(io.BytesIO(content))
    assert (picture.format, picture.mode, picture.size, picture.info) == ("PNG", "L", (160, 120), {})
    turned = np.asarray(Image.open(io.BytesIO(data)).convert("L").rotate(-90, expand=True))
    assert np.array_equal(np.asarray(picture), turned)
    assert response["Content-Type"] == "image/png"
    assert response["X-Content-Type-Options"] == "nosniff"


def test_the_browser_keeps_pictures_but_asks(client: Client, stranger: Client, film: Film) -> None:
    url = f"/films/{film.id}/picture.png"
    first = client.get(url)
    assert first["Cache-Control"] == "private, no-cache"
    seen = {"If-None-Match": first["ETag"]}
    assert client.get(url, headers=seen).status_code == 304
    assert stranger.get(url, headers=seen).status_code == 404


def test_the_thumbnail_is_small(client: Client, send: Callable[..., Any]) -> None:
    film_id = send(film_bytes(size=(400, 1000))).json()["id"]
    assert opened(client.get(f"/films/{film_id}/thumb.jpg")).size == (128, 320)


def test_a_map_covers_the_film(client: Client, stranger: Client, film: Film) -> None:
    reading = film.readings.get(model="knee")
    url = f"/films/{film.id}/maps/{reading.pk}"
    picture = opened(client.get(f"{url}/osteopenia.png"))
    assert (picture.mode, picture.size) == ("L", (192, 256))
    columns = np.asarray(picture)[0]
    assert (columns[:64].max(), columns[64:128].min(), columns[128:].max()) == (0, 255, 0)
    for name in ("unknown", "..%2f..%2foriginal", "../0", "0"):
        assert client.get(f"{url}/{name}.png").status_code == 404
    assert client.get(f"/films/{film.id}/maps/{reading.pk + 1000}/osteopenia.png").status_code == 404
    assert client.get(f"/films/{film.id}/maps/{10**30}/osteopenia.png").status_code == 404
    assert stranger.get(f"{url}/osteopenia.png").status_code == 404
    assert client.post(f"{url}/osteopenia.png").status_code == 405
    assert Client().get(f"{url}/osteopenia.png").status_code == 302


def test_a_map_of_another_film_is_not_reached_through_ones_own(
    client: Client, film: Film, send: Callable[..., Any]
) -> None:
    other = Film.objects.get(pk=send(film_bytes(1)).json()["id"])
    reading = other.readings.get(model="knee")
    assert client.get(f"/films/{film.id}/maps/{reading.pk}/normal.png").status_code == 404


def test_the_original_comes_as_it_was_given(client: Client, send: Callable[..., Any]) -> None:
    data = film_bytes(kind="TIFF")
    film_id = send(data, 'knee"\r\nX-Evil: 1.html').json()["id"]
    response = client.get(f"/films/{film_id}/original")
    assert response.content == data
    assert response["Content-Disposition"].startswith("attachment")
    assert response["Content-Type"] == "application/octet-stream"
    assert "X-Evil" not in response
    assert AuditEntry.objects.filter(action="download", detail="original").count() == 1


def test_the_overlay_is_the_film_under_the_map(client: Client, film: Film) -> None:
    query = "model=knee&label=normal&opacity=0.5&map=viridis&threshold=0.9"
    response = client.get(f"/films/{film.id}/overlay.png?{query}")
    assert response["Content-Disposition"] == f'attachment; filename="{film.id}-knee-overlay.png"'
    picture = np.asarray(opened(response))[:160].astype(int)
    grey = np.asarray(opened(client.get(f"/films/{film.id}/picture.png"))).astype(int)
    assert np.array_equal(picture[:, 60:], np.repeat(grey[:, 60:, None], 3, axis=2))  # no map in the other two thirds
    under = np.abs(picture[:, :36] - np.rint(0.5 * grey[:, :36, None] + 0.5 * TABLES["viridis"][255])).max()
    assert under <= 1


def test_the_overlay_by_default(client: Client, film: Film) -> None:
    picture = np.asarray(opened(client.get(f"/films/{film.id}/overlay.png")))[:160].astype(int)
    grey = np.asarray(opened(client.get(f"/films/{film.id}/picture.png"))).astype(int)
    middle = slice(44, 76)
    expected = np.rint(0.4 * grey[:, middle, None] + 0.6 * TABLES["inferno"][255])
    assert np.abs(picture[:, middle] - expected).max() <= 1


@pytest.mark.parametrize("query", ["opacity=2", "opacity=nan", "threshold=x", "map=jet", "label=%00"])
def test_a_bad_overlay_is_named(client: Client, film: Film, query: str) -> None:
    response = client.get(f"/films/{film.id}/overlay.png?{query}")
    assert response.status_code == 400
    assert query.split("=")[0] in response.content.decode()


def test_what_was_not_answered_cannot_be_had(client: Client, send: Callable[..., Any], reader: FakeReader) -> None:
    reader.go_away()
    film_id = send(film_bytes()).json()["id"]
    for name in ("overlay.png", "answer.json", "report.pdf"):
        assert client.get(f"/films/{film_id}/{name}").status_code == 404


@pytest.mark.parametrize("query", ["model=x", "label=x"])
def test_unknown_models_and_labels(client: Client, film: Film, query: str) -> None:
    assert client.get(f"/films/{film.id}/overlay.png?{query}").status_code == 404
    assert client.get(f"/films/{film.id}/report.pdf?{query}").status_code == 404


def test_the_answer_follows_the_schema(client: Client, film: Film) -> None:
    whole = json.loads(client.get(f"/films/{film.id}/answer.json").content)
    answers = [Answer.model_validate(row) for row in whole["answers"]]
    assert [answer.model.name for answer in answers] == ["knee", "efficientnet", "yolov5"]
    picture = Image.open(io.BytesIO(base64.b64decode(answers[0].explanations[1].map_png)))
    assert picture.size == (192, 256)
    assert whole["film"]["sha256"] == film.sha256
    document = json.loads(client.get(f"/films/{film.id}/answer.json?model=yolov5").content)
    assert [row["model"]["name"] for row in document["answers"]] == ["yolov5"]
    assert client.get(f"/films/{film.id}/answer.json?model=x").status_code == 404


def test_the_report_is_one_page(client: Client, send: Callable[..., Any]) -> None:
    facts = {"age": "63", "sex": "female", "label_text": "<b>left & \u819d</b>"}
    film_id = send(film_bytes(), "k" * 200 + ".png", **facts).json()["id"]
    response = client.get(f"/films/{film_id}/report.pdf?model=efficientnet&label=normal")
    assert response["Content-Type"] == "application/pdf"
    assert response.content.startswith(b"%PDF-")
    assert response.content.count(b"/Type /Page\n") == 1
    assert response.content.count(b"/Subtype /Image") == 2


def test_a_file_that_is_gone_is_not_found(client: Client, film: Film) -> None:
    storage.remove(film.id)
    reading = film.readings.get(model="knee")
    for name in ("picture.png", "thumb.jpg", "original", "overlay.png", "answer.json", "report.pdf",
                 f"maps/{reading.pk}/normal.png"):  # fmt: skip
        assert client.get(f"/films/{film.id}/{name}").status_code == 404, name


@pytest.mark.parametrize(("strength", "alpha"), [(None, 0.5), (1.0, 0.5), (0.2, 0.1), (0.0, 0.0)])
def test_a_weak_map_is_drawn_fainter(
    client: Client, send: Callable[..., Any], reader: FakeReader, strength: float | None, alpha: float
) -> None:
    """Half opaque where it is as strong as usual; at a fifth of that strength the film shows through nine tenths."""
    reader.strength = strength
    film_id = send(film_bytes()).json()["id"]
    picture = np.asarray(opened(client.get(f"/films/{film_id}/overlay.png?label=normal&opacity=0.5"))).astype(int)
    grey = np.asarray(opened(client.get(f"/films/{film_id}/picture.png"))).astype(int)
    expected = np.rint((1 - alpha) * grey[:, :36, None] + alpha * TABLES["inferno"][255])
    assert np.abs(picture[:160, :36] - expected).max() <= 1


def test_every_surface_says_how_weak_a_map_is(client: Client, send: Callable[..., Any], reader: FakeReader) -> None:
    reader.strength = 0.03
    film_id, other = (send(film_bytes(seed)).json()["id"] for seed in (0, 1))
    words = "map strength 3% of the training films' median"
    pages = [
        client.get(f"/films/{film_id}/").context["viewer_data"],
        client.get(f"/reviews/{film_id}/").context["viewer_data"],
        *(side["viewer_data"] for side in client.get(f"/compare?films={film_id}&films={other}").context["sides"]),
    ]
    for data in pages:
        maps = [label["map"] for model in data["models"] for label in model["classes"]]
        assert {(drawn["strength"], drawn["strengthWords"]) for drawn in maps} == {(0.03, words)}
    [answer] = json.loads(client.get(f"/films/{film_id}/answer.json?model=knee").content)["answers"]
    assert [explanation["strength"] for explanation in answer["explanations"]] == [0.03] * 3
    assert words in pdf_text(client.get(f"/films/{film_id}/report.pdf").content)


def test_an_answer_of_an_earlier_server_says_nothing_of_strength(client: Client, film: Film) -> None:
    [model, *_] = client.get(f"/films/{film.id}/").context["viewer_data"]["models"]
    assert {(label["map"]["strength"], label["map"]["strengthWords"]) for label in model["classes"]} == {(None, "")}
    assert "map strength" not in pdf_text(client.get(f"/films/{film.id}/report.pdf").content)


@pytest.mark.parametrize("name", ["inferno", "viridis"])
def test_the_app_colours_maps_as_the_command_line_does(name: str) -> None:
    drawn = overlay.layer(np.arange(256, dtype=np.uint8)[None], 1, name)
    np.testing.assert_array_equal(np.asarray(drawn)[0, :, :3], TABLES[name])


def test_viridis_is_matplotlibs_table() -> None:
    """At 0, 0.25, 0.5, 0.75 and 1 of matplotlib's own data, in 256 levels."""
    shown = TABLES["viridis"][[0, 64, 128, 191, 255]].astype(int)
    published = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [92, 200, 99], [253, 231, 37]])
    np.testing.assert_array_equal(shown, published)


def test_the_values_of_a_deep_film_come_as_stored(client: Client, send: Callable[..., Any]) -> None:
    """The value at row r and column c is 1000 + 10 r + c."""
    pixels = np.add.outer(1000 + 10 * np.arange(80), np.arange(74)).astype(np.uint16)
    film_id = send(save(dataset(pixels, 12, WindowCenter=1400, WindowWidth=800)), "deep.dcm").json()["id"]
    response = client.get(f"/films/{film_id}/values")
    content = gzip.decompress(response.content)
    length = int.from_bytes(content[:4], "little")
    header = json.loads(content[4 : 4 + length])
    assert header == {
        "width": 74, "height": 80, "offset": 0.0, "step": 1.0, "bits": 12, "inverted": False, "padding": None,
        "windows": [{"name": "header", "centre": 1400.0, "width": 800.0}],
    }  # fmt: skip
    assert np.array_equal(np.frombuffer(content[4 + length :], "<u2").reshape(80, 74), pixels)
    known = client.get(f"/films/{film_id}/values", headers={"If-None-Match": response["ETag"]})
    assert (known.status_code, response["Content-Encoding"]) == (304, "gzip")


def test_a_film_of_eight_bits_has_no_deeper_values(client: Client, film: Film) -> None:
    assert client.get(f"/films/{film.id}/values").status_code == 204
