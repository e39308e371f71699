"""GET /reviews/<id>/picture.png, thumb.jpg, maps/<reading>/<label>.png and regions/<review>.png."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.test import Client
from films.models import Film
from numpy.typing import NDArray
from PIL import Image
from refusals import check_refusals
from reviews.models import Review
from support.dicom import dataset, save


def pixels(response: Any) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(b"".join(response.streaming_content))) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("name", ["picture.png", "thumb.jpg"])
def test_a_reviewer_sees_the_film(reviewer: Client, open_film: Film, name: str) -> None:
    response = reviewer.get(f"/reviews/{open_film.id}/{name}")
    assert pixels(response).shape == (160, 120)
    assert response["Cache-Control"] == "private, no-cache"
    Film.objects.update(open_for_review=False)
    assert reviewer.get(f"/reviews/{open_film.id}/{name}").status_code == 404


def test_a_reviewer_has_the_values_of_a_deep_film(
    reviewer: Client, client: Client, send: Callable[..., Any], open_film: Film
) -> None:
    values = np.add.outer(1000 + 10 * np.arange(80), np.arange(74)).astype(np.uint16)
    deep = Film.objects.get(pk=send(save(dataset(values, 12)), "deep.dcm").json()["id"])
    assert reviewer.get(f"/reviews/{deep.id}/values").status_code == 404
    Film.objects.update(open_for_review=True)
    response = reviewer.get(f"/reviews/{deep.id}/values")
    assert response.content == client.get(f"/films/{deep.id}/values").content
    assert response.status_code == 200
    assert f"/reviews/{deep.id}/values" in reviewer.get(f"/reviews/{deep.id}/").content.decode()
    assert reviewer.get(f"/reviews/{open_film.id}/values").status_code == 204


@pytest.mark.parametrize("name", ["picture.png", "thumb.jpg", "values"])
def test_refusals_of_the_film(client: Client, stranger: Client, film: Film, name: str) -> None:
    check_refusals(client, stranger, lambda film_id: f"/reviews/{film_id}/{name}", "GET", film)


def test_the_map_comes_with_the_answer(
    reviewer: Client, client: Client, open_film: Film, say: Callable[..., Any]
) -> None:
    reading = open_film.readings.get(model="knee").pk
    url = f"/reviews/{open_film.id}/maps/{reading}/osteopenia.png"
    assert reviewer.get(url).status_code == 404
    say(reviewer, open_film, seen_label="normal")
    levels = pixels(reviewer.get(url))
    assert levels.shape == (256, 192)
    assert (levels[0, 63], levels[0, 64]) == (0, 255)
    for wrong in (f"maps/{reading}/broken.png", f"maps/{reading + 99}/normal.png", f"maps/{10**30}/normal.png"):
        assert reviewer.get(f"/reviews/{open_film.id}/{wrong}").status_code == 404
    assert reviewer.post(url).status_code == 405
    assert client.get(url).status_code == 404


def test_a_map_of_a_stranger(client: Client, stranger: Client, film: Film, say: Callable[..., Any]) -> None:
    say(client, film, seen_label="normal")
    reading = film.readings.get(model="knee").pk
    check_refusals(client, stranger, lambda film_id: f"/reviews/{film_id}/maps/{reading}/normal.png", "GET", film)


def test_a_region_is_its_reviewer_s_until_the_others_have_given_theirs(
    reviewer: Client,
    open_film: Film,
    say: Callable[..., Any],
    draw_url: Callable[..., str],
    left_third: NDArray[np.bool_],
    more_reviewers: Callable[[str], Client],
) -> None:
    say(reviewer, open_film, seen_label="normal", region=draw_url(left_third))
    review = Review.objects.get().pk
    url = f"/reviews/{open_film.id}/regions/{review}.png"
    assert (pixels(reviewer.get(url)) == left_third).all()
    other = more_reviewers("mallory")
    assert other.get(url).status_code == 404
    say(other, open_film, seen_label="normal")
    assert (pixels(other.get(url)) == left_third).all()
    without = Review.objects.get(reviewer__username="mallory").pk
    assert other.get(f"/reviews/{open_film.id}/regions/{without}.png").status_code == 404
    assert other.get(f"/reviews/{open_film.id}/regions/{10**30}.png").status_code == 404
    assert other.post(url).status_code == 405


def test_refusals_of_a_region(
    client: Client, stranger: Client, film: Film, say: Callable[..., Any], draw_url: Callable[..., str]
) -> None:
    say(client, film, seen_label="normal", region=draw_url(np.ones((160, 120), np.bool_)))
    review = Review.objects.get().pk
    check_refusals(client, stranger, lambda film_id: f"/reviews/{film_id}/regions/{review}.png", "GET", film)
