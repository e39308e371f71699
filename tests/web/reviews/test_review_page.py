"""GET and POST /reviews/<id>/."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import numpy as np
import pytest
from accounts.models import AuditEntry
from django.test import Client
from django.utils import timezone
from fake_reader import FakeReader
from films import answering
from films.models import Film, Reading
from numpy.typing import NDArray
from reviews import access
from reviews.exports.training import truth_of
from reviews.models import Review
from web_films import film_bytes

from osteolens.labels import LABELS

Mask = NDArray[np.bool_]
SECRETS = (b"secret", b"knee.png")
ANSWER = (b"bars", b"T-score -1.8", b"/maps/", b"uncertain", b"The answer is")


def page(browser: Client, film: Film) -> Any:
    return browser.get(f"/reviews/{film.id}/")


def test_blind_until_the_review_is_given(reviewer: Client, open_film: Film, say: Callable[..., Any]) -> None:
    before = page(reviewer, open_film)
    assert before.status_code == 200
    assert before.context["viewer_data"]["models"] == []
    assert before.context["answer"] is None
    assert [text for text in (*ANSWER, *SECRETS) if text in before.content] == []
    assert b"Blind." in before.content

    assert say(reviewer, open_film, seen_label="osteopenia", remark="thin").status_code == 302
    review = Review.objects.get()
    assert (review.blind, review.verdict, review.label_said) == (True, "right", "osteopenia")
    assert (review.reading.model, review.remark, review.map_rating) == ("knee", "thin", "")

    after = page(reviewer, open_film)
    assert after.context["answer"].label == "osteopenia"
    [model] = after.context["viewer_data"]["models"]
    assert [label["map"]["url"].split("/")[1] for label in model["classes"]] == ["reviews"] * 3
    assert [text for text in SECRETS if text in after.content] == []
    assert AuditEntry.objects.filter(action="review", film_id=open_film.id, detail="new, blind").count() == 1


def test_the_map_is_rated_once_it_is_seen_and_the_review_stays_blind(
    reviewer: Client, open_film: Film, say: Callable[..., Any]
) -> None:
    say(reviewer, open_film, seen_label="normal")
    assert Review.objects.get().verdict == "wrong"
    say(reviewer, open_film, verdict="wrong", seen_label="normal", map_rating="partly", dxa_t_score="-0.5")
    review = Review.objects.get()
    assert (review.blind, review.map_rating, review.dxa_t_score) == (True, "partly", -0.5)
    say(reviewer, open_film, verdict="right", seen_label="osteopenia")
    review = Review.objects.get()
    assert (review.blind, review.verdict) == (False, "right")
    entry = AuditEntry.objects.filter(action="review", film_id=open_film.id).latest("pk")
    assert entry.detail == "changed: verdict, seen_label, dxa_t_score, map_rating"


def test_who_saw_the_film_s_page_is_not_blind(client: Client, film: Film, say: Callable[..., Any]) -> None:
    assert page(client, film).context["answer"] is None
    client.get(f"/films/{film.id}/")
    assert page(client, film).context["answer"].label == "osteopenia"
    say(client, film, verdict="right")
    review = Review.objects.get()
    assert (review.blind, review.label_said, review.seen_label) == (False, "osteopenia", "")


def test_a_label_alone_is_a_verdict_too_and_sent_twice_it_is_the_same_review(
    reviewer: Client, open_film: Film, say: Callable[..., Any]
) -> None:
    for _ in range(2):
        assert say(reviewer, open_film, seen_label="normal").status_code == 302
    review = Review.objects.get()
    assert (review.verdict, review.blind) == ("wrong", True)


def test_cannot_tell_is_an_answer_and_nothing_is_not(
    reviewer: Client, open_film: Film, say: Callable[..., Any]
) -> None:
    nothing = say(reviewer, open_film)
    assert nothing.status_code == 400
    assert list(nothing.context["form"].errors) == ["seen_label"]
    say(reviewer, open_film, seen_label="?")
    review = Review.objects.get()
    assert (review.verdict, review.seen_label, review.label_said) == ("unsure", "", "")


@pytest.mark.parametrize("blind", [True, False])
def test_what_the_eye_sees_may_differ_from_what_was_measured_and_both_are_kept(
    blind: bool, client: Client, film: Film, say: Callable[..., Any]
) -> None:
    if not blind:
        client.get(f"/films/{film.id}/")
    seen = {"seen_label": "normal"} if blind else {"verdict": "right"}
    assert say(client, film, dxa_t_score="-2.7", true_label="osteoporosis", **seen).status_code == 302
    review = Review.objects.get()
    assert (review.true_label, review.dxa_t_score) == ("osteoporosis", -2.7)
    assert review.label_said == ("normal" if blind else "osteopenia")  # what kappas are computed from
    assert truth_of([review]).label == "osteoporosis"  # what is trained from


def test_an_impossible_t_score_is_refused_with_an_example(client: Client, film: Film, say: Callable[..., Any]) -> None:
    response = say(client, film, seen_label="normal", dxa_t_score="-24")
    [message] = response.context["form"].errors["dxa_t_score"]
    assert message.endswith("For example -2.4.")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"verdict": "right", "seen_label": "normal"}, "verdict"),
        ({"verdict": "wrong", "seen_label": "osteopenia"}, "verdict"),
        ({"verdict": "wrong", "true_label": "normal", "dxa_t_score": "-2.5"}, "dxa_t_score"),
        ({"verdict": "wrong", "dxa_t_score": "-7.1"}, "dxa_t_score"),
        ({"verdict": "wrong", "dxa_t_score": "9.9"}, "dxa_t_score"),
        ({"verdict": "wrong", "dxa_t_score": "-25"}, "dxa_t_score"),
        ({"verdict": "wrong", "dxa_t_score": "nan"}, "dxa_t_score"),
        ({"verdict": "perhaps"}, "verdict"),
        ({}, "verdict"),
        ({"verdict": "wrong", "seen_label": "broken"}, "seen_label"),
        ({"verdict": "wrong", "map_rating": "nice"}, "map_rating"),
        ({"verdict": "wrong", "remark": "a\0b"}, "remark"),
        ({"verdict": "wrong", "remark": "x" * 4001}, "remark"),
        ({"verdict": "wrong", "region": "<script>"}, "region"),
        ({"verdict": "wrong", "region": "data:image/png;base64,é"}, "region"),
        ({"verdict": "wrong", "region": "data:image/png;base64,iVBORw0KGgo="}, "region"),
    ],
)
def test_what_contradicts_itself_or_makes_no_sense_is_said_beside_its_field(
    client: Client, film: Film, say: Callable[..., Any], fields: dict[str, str], field: str
) -> None:
    client.get(f"/films/{film.id}/")
    response = say(client, film, **fields)
    assert response.status_code == 400
    assert field in response.context["form"].errors
    assert not Review.objects.exists()


def test_a_region_of_another_size_is_refused_and_the_drawing_is_kept(
    reviewer: Client, open_film: Film, say: Callable[..., Any], draw_url: Callable[..., str]
) -> None:
    url = draw_url(np.ones((10, 20), np.bool_))
    response = say(reviewer, open_film, seen_label="normal", region=url)
    assert "120 x 160 pixels" in response.context["form"].errors["region"][0]
    assert f'value="{url}"' in response.content.decode()


def test_a_region_is_stored_replaced_left_alone_and_removed(
    reviewer: Client, open_film: Film, say: Callable[..., Any], draw_url: Callable[..., str], left_third: Mask
) -> None:
    def files() -> list[str]:
        review = Review.objects.get()
        folder = (review.region_path or first).parent
        return [path.name for path in folder.iterdir()]

    say(reviewer, open_film, seen_label="normal", region=draw_url(left_third))
    first = Review.objects.get().region_path
    assert first is not None
    assert files() == [first.name]
    say(reviewer, open_film, verdict="wrong", seen_label="normal")
    assert Review.objects.get().region_path == first
    assert Review.objects.get().blind
    say(reviewer, open_film, verdict="wrong", seen_label="normal", region=draw_url(~left_third, "L"))
    second = Review.objects.get()
    assert second.region_path != first
    assert second.region_path
    assert files() == [second.region_path.name]
    assert not second.blind
    say(reviewer, open_film, verdict="wrong", seen_label="normal", region="none")
    assert Review.objects.get().region is None
    assert files() == []


def test_an_empty_region_is_none(
    reviewer: Client, open_film: Film, say: Callable[..., Any], draw_url: Callable[..., str]
) -> None:
    say(reviewer, open_film, seen_label="normal", region=draw_url(np.zeros((160, 120), np.bool_)))
    assert Review.objects.get().region is None


def test_others_are_shown_after_the_own_review(
    reviewer: Client, open_film: Film, say: Callable[..., Any], more_reviewers: Callable[[str], Client], client: Client
) -> None:
    say(more_reviewers("mallory"), open_film, seen_label="normal", remark="<b>look</b>")
    assert page(reviewer, open_film).context["others"] == []
    assert page(client, open_film).context["others"] == []
    say(reviewer, open_film, seen_label="osteopenia")
    after = page(reviewer, open_film)
    assert [review.reviewer.username for review in after.context["others"]] == ["mallory"]
    assert b"&lt;b&gt;look" in after.content
    client.post(f"/reviews/{open_film.id}/reveal")
    assert len(page(client, open_film).context["others"]) == 2


def test_a_film_without_an_answer_can_be_reviewed_and_gets_its_verdict_later(
    client: Client, send: Callable[..., Any], say: Callable[..., Any], reader: FakeReader
) -> None:
    reader.go_away()
    film = Film.objects.get(pk=send(film_bytes(5)).json()["id"])
    assert page(client, film).context["form"].labels == LABELS
    say(client, film, seen_label="normal")
    review = Review.objects.get()
    assert (review.reading, review.verdict, review.blind) == (None, "", True)
    reader.come_back()
    Reading.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    answering.answer_due(3)
    say(client, film, verdict="wrong", seen_label="normal")
    review = Review.objects.get()
    assert (review.verdict, review.blind) == ("wrong", True)
    assert review.reading


def test_the_next_film_follows_where_asked(reviewer: Client, open_film: Film, say: Callable[..., Any]) -> None:
    assert say(reviewer, open_film, seen_label="normal", then="next")["Location"] == "/reviews/next"
    assert say(reviewer, open_film, verdict="wrong")["Location"] == f"/reviews/{open_film.id}/"


def test_closed_films_and_people_without_permission(
    reviewer: Client, stranger: Client, client: Client, film: Film
) -> None:
    assert page(reviewer, film).status_code == 404
    film.open_for_review = True
    film.save()
    assert page(reviewer, film).status_code == 200
    assert page(stranger, film).status_code == 404
    assert stranger.post(f"/reviews/{film.id}/", {"seen_label": "normal"}).status_code == 404
    assert client.get(f"/reviews/{uuid4()}/").status_code == 404
    assert client.get("/reviews/not-a-number/").status_code == 404
    assert client.put(f"/reviews/{film.id}/").status_code == 405
    assert Client().get(f"/reviews/{film.id}/").status_code == 302
    assert Client(enforce_csrf_checks=True).post(f"/reviews/{film.id}/").status_code in (302, 403)


def test_deleted_in_another_tab_meanwhile(client: Client, film: Film, say: Callable[..., Any]) -> None:
    def find_then_lose(*arguments: Any) -> Film:
        film = film_for(*arguments)
        Film.objects.all().delete()
        return film

    film_for = access.film_for
    with patch.object(access, "film_for", find_then_lose):
        assert say(client, film, seen_label="normal").status_code == 404
    assert not Review.objects.exists()


def test_the_page_holds_no_inline_script_or_style(reviewer: Client, open_film: Film) -> None:
    text = page(reviewer, open_film).content.decode()
    assert " style=" not in text
    assert "onclick" not in text
    assert json.loads(text.split('id="region-data" type="application/json">')[1].split("</script>")[0]) == {
        "film": str(open_film.id), "width": 120, "height": 160, "url": None, "saved": "",
    }  # fmt: skip
