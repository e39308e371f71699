"""A film of two knees in the app: boxes and buttons on the page, and each knee's own maps beside the film's."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from django.test import Client
from fake_reader import SHARES, FakeReader, answer
from films.exporting import full_answer
from films.models import Film
from httpx import Request, Response
from web_films import film_bytes

from osteolens.films.overlay import decode_map, encode_map


def knees(model: str, film: bytes) -> dict[str, Any]:
    """The usual answer with two knees, each with a map of one grey level: 50 and 51 for the first, 60 and 61."""
    row = answer(model, film, {})
    row["knees"] = [
        {
            "box": [10 + 50 * number, 20, 60 + 50 * number, 70], "joint": [35, 50], "plateau_width": 41, "turn": 0,
            "regions": {}, "side": side, "side_from": side and "position", "label": "normal", "probabilities": SHARES,
            "t_score": {"estimate": -1.5 - number, "interval_90": None},
            "explanations": [
                {"method": "gradcam", "target": label, "peak": 1.0,
                 "map_png": encode_map(np.full((8, 6), 50 + 10 * number + place, np.uint8))}
                for place, label in enumerate(("normal", "osteoporosis"))
            ],
        }
        for number, side in enumerate(("right", None))
    ]  # fmt: skip
    return row


def test_a_film_of_two_knees(client: Client, reader: FakeReader, send: Callable[..., Any]) -> None:
    def two(request: Request) -> Response:
        return Response(200, json=knees(request.url.path.rpartition("/")[2], request.content))

    reader.faults["all"] = two
    send(film_bytes())
    film = Film.objects.get()
    reading = film.readings.get(model="knee")
    assert "iVBOR" not in json.dumps(reading.answer)  # the maps are files
    response = client.get(f"/films/{film.id}/")
    page = response.content.decode()
    assert page.count("<rect ") == 2 * 3  # of each model's answer its own
    assert re.findall(r'class="boxes" data-model="(\w+)" (hidden)?', page) == [
        ("knee", ""), ("efficientnet", "hidden"), ("yolov5", "hidden"),
    ]  # fmt: skip
    assert '<rect x="60" y="20" width="50" height="50"/>' in page
    assert '<input type="radio" name="knee" value="0"><span>right knee</span>' in page
    assert '<input type="radio" name="knee" value="1"><span>knee 2</span>' in page
    assert "The film has the answer of the worse knee." in page
    shown = response.context["viewer_data"]["models"][0]["knees"]
    assert [each["box"] for each in shown] == [(10, 20, 60, 70), (60, 20, 110, 70)]
    maps = full_answer(reading).knees[1].explanations
    assert [int(decode_map(each.map_png)[0, 0]) for each in maps] == [60, 61]
    for number, label, level in ((0, "normal", 50), (0, "osteoporosis", 51), (1, "osteoporosis", 61)):
        assert level_of(client.get(shown[number]["maps"][label]["url"])) == level
    assert level_of(client.get(f"/films/{film.id}/maps/{reading.pk}/osteoporosis.png")) == 0  # the film's own
    for wrong in ("osteoporosis.png?knee=2", "osteopenia.png?knee=0"):
        assert client.get(f"/films/{film.id}/maps/{reading.pk}/{wrong}").status_code == 404


def level_of(response: Any) -> int:
    """Grey of a map's first pixel."""
    assert response.status_code == 200
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return int(decode_map(base64.b64encode(content).decode())[0, 0])
