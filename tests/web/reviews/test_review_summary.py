"""GET /reviews/."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from films.models import Film
from numpy.typing import NDArray
from reviews import scoring
from reviews.models import MapScore
from reviews.summary import Summary
from web_films import film_bytes

from osteolens.errors import OsteoLensError

LABELS = ("normal", "osteopenia", "osteoporosis")


def shown(browser: Client) -> Summary:
    response = browser.get("/reviews/")
    assert response.status_code == 200
    summary: Summary = response.context["summary"]
    return summary


@pytest.fixture
def films(send: Callable[..., Any]) -> list[Film]:
    """Four answered films, all `osteopenia` by all three models, open for review."""
    made = [send(film_bytes(seed)).json()["id"] for seed in range(4)]
    Film.objects.update(open_for_review=True)
    return [Film.objects.get(pk=key) for key in made]


def test_figures_by_hand(
    reviewer: Client, more_reviewers: Callable[[str], Client], films: list[Film], say: Callable[..., Any]
) -> None:
    other = more_reviewers("mallory")
    for film, first, second in zip(films, "0011", "0111", strict=True):
        say(reviewer, film, seen_label=LABELS[int(first)])
        say(other, film, seen_label=LABELS[int(second)])
    other.post(f"/reviews/{films[0].id}/", {"verdict": "right", "map_rating": "plausible"})
    say(other, films[0], verdict="wrong", seen_label="normal", map_rating="plausible")
    summary = shown(reviewer)
    assert (summary.films, summary.reviews, summary.reviewers, summary.blind) == (4, 8, 2, 7)
    assert summary.verdicts == {"Right": 5, "Wrong": 3, "Unsure": 0}
    assert summary.ratings == {"Plausible": 1, "Partly plausible": 0, "Implausible": 0}
    # Reviews: of the films both wrong, one right, both right, both right.
    assert (summary.right.value, summary.right.n, summary.right.low) == (pytest.approx(5 / 8), 8, None)
    [pair] = summary.among[0].pairs
    assert (pair.first, pair.second) == ("eve", "mallory")
    # By chance (2 * 1 + 2 * 3) / 16 = 0.5, observed 3 / 4.
    assert (pair.all.same.value, pair.all.kappa.value, pair.all.kappa.n) == (0.75, pytest.approx(0.5), 4)
    assert pair.blind.kappa.n == 3
    # Fleiss: label 1 has 5 of 8 ratings.
    chance = (5 / 8) ** 2 + (3 / 8) ** 2
    assert summary.among[0].fleiss.value == pytest.approx((0.75 - chance) / (1 - chance))
    rows = {(pair.first, pair.second): pair for pair in summary.with_models}
    assert set(rows) == {
        (person, model) for person in ("eve", "mallory") for model in ("efficientnet", "knee", "yolov5")
    }
    assert rows["eve", "knee"].all.same.value == 0.5
    assert rows["eve", "knee"].all.kappa.value == 0.0
    assert rows["mallory", "yolov5"].all.same.value == 0.75


def test_map_scores_are_computed_once_and_follow_the_region(
    client: Client,
    film: Film,
    say: Callable[..., Any],
    draw_url: Callable[..., str],
    left_third: NDArray[np.bool_],
) -> None:
    say(client, film, seen_label="normal", region=draw_url(left_third))
    by_model = {row.model: row for row in shown(client).maps}
    assert set(by_model) == {"efficientnet", "knee", "yolov5"}
    # The fake reader's map of osteopenia is the middle third.
    knee = by_model["knee"]
    assert (knee.pointing.value, knee.mass.value, knee.iou.value, knee.regions) == (0, 0, 0, 1)
    assert knee.area.value == pytest.approx(1 / 3)
    assert MapScore.objects.count() == 3
    with patch.object(scoring, "_score", side_effect=OsteoLensError("computed twice")):
        shown(client)
    middle = np.roll(left_third, 40, axis=1)
    say(client, film, verdict="right", region=draw_url(middle))
    knee = next(row for row in shown(client).maps if row.model == "knee")
    assert (knee.pointing.value, knee.mass.value, knee.iou.value) == (1, pytest.approx(1), pytest.approx(1))
    assert MapScore.objects.count() == 3


def test_what_is_not_mine_and_not_reviewed_by_me_is_not_counted(
    reviewer: Client, client: Client, stranger: Client, open_film: Film, say: Callable[..., Any],
    more_reviewers: Callable[[str], Client],
) -> None:  # fmt: skip
    say(more_reviewers("mallory"), open_film, seen_label="normal")
    assert shown(client).reviews == 1
    assert shown(reviewer).reviews == 0
    assert shown(stranger).reviews == 0
    say(reviewer, open_film, seen_label="normal")
    assert shown(reviewer).reviews == 2
    Film.objects.update(open_for_review=False)
    assert shown(reviewer).reviews == 0


def test_films_and_their_secrets(reviewer: Client, stranger: Client, open_film: Film) -> None:
    response = reviewer.get("/reviews/")
    assert [film.id for film, _ in response.context["codes"]] == [open_film.id]
    assert b"secret" not in response.content
    assert b"knee.png" not in response.content
    assert response.context["left"] == 1
    assert stranger.get("/reviews/").context["codes"] == []


def test_the_number_of_queries_does_not_grow(
    client: Client, films: list[Film], say: Callable[..., Any], draw_url: Callable[..., str]
) -> None:
    counts = []
    for film in films:
        say(client, film, seen_label="normal", region=draw_url(np.ones((160, 120), np.bool_)))
        shown(client)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            shown(client)
        counts.append(len(queries))
    assert len(set(counts)) == 1
    assert counts[0] < 20


def test_maps_that_are_gone_are_left_out(
    client: Client, film: Film, say: Callable[..., Any], draw_url: Callable[..., str]
) -> None:
    say(client, film, seen_label="normal", region=draw_url(np.ones((160, 120), np.bool_)))
    film.readings.filter(model="knee").update(maps=None)
    assert [row.model for row in shown(client).maps] == ["efficientnet", "yolov5"]


def test_refusals(client: Client) -> None:
    assert client.post("/reviews/").status_code == 405
    assert client.get("/reviews/?page=x").status_code == 200
    assert Client().get("/reviews/").status_code == 302
