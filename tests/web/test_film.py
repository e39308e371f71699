"""GET /films/<id>/ and .../state."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accounts.models import AuditEntry
from django.test import Client
from fake_reader import SHARES, FakeReader, answer, refusal
from films import cards, wording
from films.models import Film, Reading
from httpx import Request, Response
from refusals import check_refusals
from support.dicom import dataset, save
from web_films import film_bytes

from osteolens.card import Card, load_card
from osteolens.parameters import OperatingPoint, OperatingPoints

Send = Callable[..., Any]


def test_the_page_has_everything_the_viewer_needs(client: Client, film: Film) -> None:
    response = client.get(f"/films/{film.id}/")
    assert response.status_code == 200
    data = response.context["viewer_data"]
    assert data["film"] == {
        "id": str(film.id), "title": "knee.png", "url": f"/films/{film.id}/picture.png", "width": 120, "height": 160,
        "spacing": None, "valuesUrl": f"/films/{film.id}/values",
    }  # fmt: skip
    assert [model["model"] for model in data["models"]] == ["knee", "efficientnet", "yolov5"]
    knee = data["models"][0]
    reading = film.readings.get(model="knee")
    assert {label["label"]: label["probability"] for label in knee["classes"]} == SHARES
    url = f"/films/{film.id}/maps/{reading.pk}/osteoporosis.png"
    assert knee["classes"][2]["map"] == {"url": url, "peak": 2.5, "strength": None, "strengthWords": ""}
    assert (knee["classes"][2]["low"], knee["classes"][2]["high"]) == (0.1, 0.6)
    [part] = response.context["main"].parts
    assert part.t_score is not None
    assert part.t_score | {"words": ""} == {
        "estimate": -1.8, "low": -3.0, "high": -0.6, "zone": "osteopenia", "words": "",
    }  # fmt: skip
    assert part.operating_points is None  # the card of this made-up answer is not at hand
    assert part.spread_words.startswith("4 of 5 models")
    assert (data["state"], data["waiting"]) == ("answered", 0)
    assert data["labels"] == ["normal", "osteopenia", "osteoporosis"]  # each once, though three models have it
    assert {name: len(bytes.fromhex(table)) / 3 for name, table in data["colourMaps"].items()} == {
        "inferno": 256, "viridis": 256, "grey": 256,
    }  # fmt: skip
    assert AuditEntry.objects.filter(action="view", film_id=film.id).count() == 1


def test_a_model_of_other_labels_has_buttons_of_its_own(
    client: Client, reader: FakeReader, send: Send, settings: Any
) -> None:
    """A model of grades beside one of osteoporosis, as the shipped ones are."""
    settings.MODELS = ["knee", "grades"]

    def by_model(request: Request) -> Response:
        row = answer(request.url.path.rpartition("/")[2], request.content, {})
        if row["model"]["name"] == "grades":
            row |= {"label": "3", "probabilities": {"2": 0.25, "3": 0.75}, "explanations": [], "ensemble": None}
        return Response(200, json=row)

    reader.faults["all"] = by_model
    send(film_bytes())
    page = client.get(f"/films/{Film.objects.get().id}/").content.decode()
    shown = re.findall('name="label" value="([^"]+)"', page)
    assert shown == ["normal", "osteopenia", "osteoporosis", "2", "3"]


@pytest.fixture
def card(settings: Any, tmp_path: Path) -> Iterator[Card]:
    """The card of `knee` with operating points, which the shipped one has not earned."""
    point = OperatingPoint(threshold=0.2, sensitivity=0.9, specificity=0.4)
    points = OperatingPoints(
        label="osteoporosis", high_sensitivity=point, high_specificity=point.model_copy(update={"threshold": 0.6})
    )
    shipped = load_card(settings.CARDS_FOLDER / "knee", check_weights=False)
    card = shipped.model_copy(update={"operating_points": points, "no_triage": ""})
    (tmp_path / "cards" / "knee").mkdir(parents=True)
    card.save(tmp_path / "cards" / "knee")
    settings.CARDS_FOLDER = tmp_path / "cards"
    cards._load.cache_clear()
    yield card
    cards._load.cache_clear()


def test_operating_points_come_from_the_card_that_answered(client: Client, film: Film, card: Card) -> None:
    film.readings.filter(model="knee").update(card_sha256=card.sha256)
    [part] = client.get(f"/films/{film.id}/").context["main"].parts
    assert part.operating_points["refer"] == card.operating_points.high_specificity.threshold
    assert part.operating_points["low_suspicion"] == card.operating_points.high_sensitivity.threshold
    # 0.2 and 0.6 are thresholds, and both points have 90 % sensitivity and 40 % specificity.
    assert part.triage_words.startswith("Uncertain: the probability of osteoporosis is between 20% and 60%")


def test_other_pages_of_a_film_refuse(client: Client, stranger: Client, film: Film) -> None:
    check_refusals(client, stranger, lambda film_id: f"/films/{film_id}/", "GET", film)
    check_refusals(client, stranger, lambda film_id: f"/films/{film_id}/state", "GET", film)


def test_scripts_in_texts_are_text(client: Client, send: Send) -> None:
    evil = "</script><script>alert(1)</script>"
    film_id = send(film_bytes(), "<img src=x onerror=alert(1)>.png", label_text=evil, note=evil).json()["id"]
    for url in (f"/films/{film_id}/", "/films/", "/", f"/compare?films={film_id}&films={film_id}"):
        page = client.get(url).content.decode()
        assert "<script>alert" not in page, url
        assert "<img src=x" not in page, url
    policy = client.get("/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_waiting_film_says_so(client: Client, send: Send, reader: FakeReader) -> None:
    reader.go_away()
    film_id = send(film_bytes()).json()["id"]
    context = client.get(f"/films/{film_id}/").context
    assert context["main"] is None
    assert [reading["message"] for reading in context["waiting"]] == [wording.WAITING] * 3
    state = client.get(f"/films/{film_id}/state").json()
    assert (state["state"], state["answered"], state["waiting"]) == ("waiting", 0, 3)
    assert {reading["error"] for reading in state["readings"]} == {wording.WAITING}  # not the server's address


@pytest.mark.parametrize(("status", "code"), [(422, "unusable_image"), (413, "too_costly"), (413, "http_413")])
def test_a_refused_film_says_why(client: Client, send: Send, reader: FakeReader, status: int, code: str) -> None:
    reader.faults["all"] = refusal(status, code, "because")
    film_id = send(film_bytes()).json()["id"]
    response = client.get(f"/films/{film_id}/")
    assert response.context["film"].state == "refused"
    assert [reading["message"] for reading in response.context["refused"]] == ["because"] * 3
    assert len(reader.asked) == 3  # each model once


def test_one_model_that_is_not_served_hides_nothing(client: Client, send: Send, reader: FakeReader) -> None:
    reader.faults["knee"] = refusal(422, "unusable_image", "no")
    film_id = send(film_bytes()).json()["id"]
    context = client.get(f"/films/{film_id}/").context
    assert (context["film"].state, context["film"].model) == ("answered", "efficientnet")
    assert [reading.model for reading in context["readings"]] == ["efficientnet", "yolov5"]
    assert Reading.objects.get(model="knee").error_code == "unusable_image"


def test_the_page_asks_the_database_as_often_with_one_answer_as_with_many(
    client: Client, film: Film, django_assert_num_queries: Any
) -> None:
    """Session, user, film, readings, shares, who saw it, audit line."""
    with django_assert_num_queries(7):
        client.get(f"/films/{film.id}/")
    for _ in range(3):
        client.post(f"/films/{film.id}/reread")
    assert film.readings.count() == 12
    with django_assert_num_queries(7):
        client.get(f"/films/{film.id}/")


def test_what_the_header_of_a_dicom_film_says_is_shown(send: Callable[..., Any], client: Client, film: Film) -> None:
    pixels = np.tile(np.arange(100, dtype=np.uint8), (80, 1))
    header = {"BodyPartExamined": "KNEE", "ImageLaterality": "L", "ViewPosition": "AP", "PixelSpacing": [0.15, 0.148]}
    url = send(save(dataset(pixels, **header)), "film.dcm").json()["url"]
    shown = client.get(url).content.decode()
    assert "From the DICOM header: knee · left · view AP · pixels of 0.15 x 0.148 mm" in shown
    assert "DICOM header" not in client.get(film.get_absolute_url()).content.decode()
