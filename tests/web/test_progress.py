"""GET /films/state: how far the films are that are being read."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from fake_reader import FakeReader, refusal
from films import answering
from films.models import Film, Reading
from web_films import film_bytes

Send = Callable[..., Any]


def state(client: Client, since: str = "") -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/films/state", {"since": since}).json()
    return answer


def numbers(client: Client, since: str = "") -> tuple[int, int, int]:
    answer = state(client, since)
    return answer["total"], answer["waiting"], answer["failures"]


@pytest.fixture
def waiting(send: Send, reader: FakeReader) -> list[str]:
    """Three films that wait, sent after one that is answered."""
    send(film_bytes(9))
    reader.go_away()
    films = [send(film_bytes(seed), f"{seed}.png").json()["id"] for seed in range(3)]
    # None is due by itself while a slow machine runs the test.
    Reading.objects.filter(state="queued").update(next_try_at=timezone.now() + timedelta(days=1))
    return films


def test_films_are_counted_from_the_first_that_waits_to_the_last(
    client: Client, stranger: Client, waiting: list[str], reader: FakeReader
) -> None:
    first = state(client)
    assert (first["total"], first["waiting"], first["failures"]) == (3, 3, 0)
    assert "0 of 3 films read" in first["line"]
    assert "is away" in first["line"]
    reader.come_back()
    for model in ("knee", "efficientnet", "yolov5"):
        reader.faults[model] = refusal(422, "bad_film", "no knee in it")
    Reading.objects.filter(film=waiting[0]).update(next_try_at=timezone.now())
    answering.answer_due(4)
    reader.come_back()
    Reading.objects.filter(film=waiting[1]).update(next_try_at=timezone.now())
    answering.answer_due(4)
    # Without the moment of the start, what is through is not part of it any more.
    assert numbers(client) == (1, 1, 0)
    now = state(client, first["since"])
    assert (now["total"], now["waiting"], now["failures"]) == (3, 1, 1)
    # Failures first, with the way to the film.
    assert now["line"].index("1 film was not answered") < now["line"].index("2 of 3 films read")
    assert f'href="/films/{waiting[0]}/"' in now["line"]
    Reading.objects.filter(film=waiting[2]).update(next_try_at=timezone.now())
    answering.answer_due(4)
    assert numbers(client, first["since"]) == (3, 0, 1)
    assert state(client)["line"].strip() == ""
    assert state(stranger, first["since"])["total"] == 0


def test_the_history_shows_it_without_scripts(client: Client, waiting: list[str]) -> None:
    page = client.get("/films/").content.decode()
    assert "0 of 3 films read" in page
    assert 'data-under-way="3"' in page


def test_reading_again_counts(client: Client, film: Film) -> None:
    client.post("/films/selected", {"action": "reread", "films": [film.pk]})
    assert numbers(client) == (1, 1, 0)


@pytest.mark.parametrize("since", ["x", "2026", "0000-00-00T00:00:00Z", "2026-01-01T00:00:00"])
def test_a_moment_that_makes_no_sense_is_passed_over(client: Client, film: Film, since: str) -> None:
    assert numbers(client, since) == (0, 0, 0)


def test_deleted_films_do_not_count(client: Client, waiting: list[str]) -> None:
    client.post("/films/selected", {"action": "delete", "films": waiting[:2]})
    assert numbers(client, (timezone.now() - timedelta(days=1)).isoformat()) == (2, 1, 0)


def test_a_constant_number_of_queries(client: Client, waiting: list[str]) -> None:
    with CaptureQueriesContext(connection) as captured:
        state(client, (timezone.now() - timedelta(days=1)).isoformat())
    # Session, user, what waits, how many; names of failures where there are any.
    assert len(captured) == 4


def test_who_is_logged_out_and_who_posts_reads_json(client: Client) -> None:
    assert Client().get("/films/state").json()["error"]["code"] == "not_logged_in"
    assert client.post("/films/state").json()["error"]["code"] == "wrong_method"
