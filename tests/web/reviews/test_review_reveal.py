"""POST /reviews/<id>/reveal."""

from collections.abc import Callable
from typing import Any

from accounts.models import AuditEntry
from django.test import Client
from films.models import Film
from refusals import check_refusals
from reviews.models import Review


def test_the_answer_first_makes_the_review_an_open_one(
    reviewer: Client, open_film: Film, say: Callable[..., Any]
) -> None:
    assert reviewer.post(f"/reviews/{open_film.id}/reveal")["Location"] == f"/reviews/{open_film.id}/"
    assert AuditEntry.objects.filter(action="view", film_id=open_film.id, user_name="eve").count() == 1
    assert reviewer.get(f"/reviews/{open_film.id}/").context["answer"].label == "osteopenia"
    say(reviewer, open_film, verdict="unsure")
    assert not Review.objects.get().blind


def test_it_concerns_only_who_asked(reviewer: Client, client: Client, open_film: Film) -> None:
    client.post(f"/reviews/{open_film.id}/reveal")
    assert reviewer.get(f"/reviews/{open_film.id}/").context["answer"] is None


def test_refusals(client: Client, stranger: Client, film: Film) -> None:
    check_refusals(client, stranger, lambda film_id: f"/reviews/{film_id}/reveal", "POST", film)
