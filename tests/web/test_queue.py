"""The queue: nothing is lost, nothing is answered twice."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from accounts.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from fake_reader import FakeReader, answer, refusal
from films import answering, retention, storage
from films.asking import ask
from films.models import Film, Reading
from uploads import intake
from web_films import film_bytes

Send = Callable[..., Any]


@pytest.fixture
def waiting(send: Send, reader: FakeReader) -> Film:
    """A film that came while the server was away; it is back now."""
    reader.go_away()
    film = Film.objects.get(pk=send(film_bytes()).json()["id"])
    reader.come_back()
    reader.asked.clear()
    return film


def make_due() -> None:
    """Put every question's next try into the past, as if the pause were over."""
    Reading.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))


def states(film: Film) -> list[str]:
    return list(film.readings.order_by("pk").values_list("state", flat=True))


def test_a_film_is_answered_when_the_server_is_back(waiting: Film) -> None:
    assert answering.answer_due(10) == (0, True)  # the pause is not over
    make_due()
    assert answering.answer_due(10) == (3, True)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.label, states(waiting)) == ("answered", "osteopenia", ["answered"] * 3)
    assert answering.answer_due(10) == (0, True)


def test_the_command_empties_the_queue(waiting: Film) -> None:
    make_due()
    call_command("answer_films", "--once")
    assert states(waiting) == ["answered"] * 3


def test_an_absent_server_is_asked_for_ever_with_growing_pauses(waiting: Film, reader: FakeReader) -> None:
    reader.go_away()
    pauses = []
    for _ in range(12):
        make_due()
        before = timezone.now()
        assert answering.answer_due(10) == (3, False)
        pauses.append(round((waiting.readings.earliest("pk").next_try_at - before).total_seconds()))
    assert pauses == [2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30, 30]
    assert states(waiting) == ["queued"] * 3


@pytest.mark.parametrize("status", [404, 500, 507])
def test_nonsense_is_given_up_in_the_end(waiting: Film, reader: FakeReader, status: int) -> None:
    """A model that is not served, or that fails on this film every time."""
    reader.faults["knee"] = lambda _request: httpx.Response(status, json={"code": status, "message": "no"})
    for _ in range(answering.MAX_ATTEMPTS):
        make_due()
        answering.answer_due(10)
    waiting.refresh_from_db()
    assert states(waiting) == ["refused", "answered", "answered"]
    assert (waiting.state, waiting.model) == ("answered", "efficientnet")


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, content=b"{}"),
        httpx.Response(200, content=b'{"schema": 1'),
        httpx.Response(200, json=answer("knee", film_bytes(), {}) | {"label": "normal"}),
        httpx.Response(200, json=answer("knee", film_bytes(), {}) | {"explanations": [
            {"method": "gradcam", "target": "normal", "map_png": "bm8gcGljdHVyZQ==", "peak": 1.0}]}),
        httpx.Response(302, headers={"Location": "http://elsewhere/"}),
    ],
)  # fmt: skip
def test_an_answer_that_makes_no_sense_is_not_stored(
    waiting: Film, reader: FakeReader, response: httpx.Response
) -> None:
    reader.faults["all"] = lambda _request: response
    make_due()
    answering.answer_due(10)
    assert states(waiting) == ["queued"] * 3
    assert waiting.readings.exclude(error_message="").count() == 3


def test_a_busy_server_and_a_wrong_key_are_waited_for(waiting: Film, reader: FakeReader) -> None:
    reader.faults["knee"] = lambda _request: httpx.Response(503, json={"code": 503, "message": "busy"})
    wrong_key = {"code": 400, "type": "InvalidKeyException", "message": "key"}
    reader.faults["yolov5"] = lambda _request: httpx.Response(400, json=wrong_key)
    for _ in range(answering.MAX_ATTEMPTS + 1):
        make_due()
        answering.answer_due(10)
    assert states(waiting) == ["queued", "answered", "queued"]


def test_what_the_server_refuses_is_final(waiting: Film, reader: FakeReader) -> None:
    reader.faults["all"] = refusal(415, "unsupported_type", "no picture")
    make_due()
    answering.answer_due(10)
    waiting.refresh_from_db()
    assert (states(waiting), waiting.state, waiting.error_message) == (["refused"] * 3, "refused", "no picture")


def test_a_leased_question_is_nobody_elses(waiting: Film) -> None:
    make_due()
    (reading, *_), (same, *_) = answering.due(1), answering.due(1)
    assert answering.take(reading)
    assert not answering.take(same)
    assert reading.pk not in {reading_due.pk for reading_due in answering.due(10)}


def test_a_killed_process_loses_nothing(owner: User, reader: FakeReader) -> None:
    """It dies after the row is written and before it has asked: the lease runs out and the worker asks."""
    with patch.object(answering, "answer_now"):
        film = intake.receive(owner, "a.png", film_bytes(), {}).film
    make_due()
    assert answering.answer_due(10) == (0, True)
    Reading.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert answering.answer_due(10) == (3, True)
    assert states(film) == ["answered"] * 3


def test_of_two_answers_to_one_question_one_is_kept(waiting: Film, reader: FakeReader) -> None:
    """A process that was thought dead comes back with its answer after another one has asked again."""
    make_due()
    slow = answering.due(1)[0]
    answering.take(slow)
    late = ask(slow.model, film_bytes(), {})
    Reading.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    reader.version = "2.0"
    answering.answer_due(10)
    maps = set(storage.folder(waiting.id).glob("maps/*"))
    assert not answering.store(slow, late)
    slow.refresh_from_db()
    assert (slow.state, slow.model_version) == ("answered", "2.0")
    assert set(storage.folder(waiting.id).glob("maps/*")) == maps


def test_a_film_that_is_deleted_while_it_is_asked_about(waiting: Film) -> None:
    make_due()
    reading = answering.due(1)[0]
    answering.take(reading)
    outcome = ask(reading.model, film_bytes(), {})
    retention.remove_films(waiting.owner_id, [waiting.id])
    assert not answering.store(reading, outcome)
    assert not storage.folder(waiting.id).exists()


def test_facts_that_change_while_it_is_asked_are_asked_anew(waiting: Film) -> None:
    make_due()
    reading = answering.due(1)[0]
    answering.take(reading)
    outcome = ask(reading.model, film_bytes(), {})
    Film.objects.update(age=63.0, sex="female")
    assert not answering.store(reading, outcome)
    assert answering.answer_due(10) == (3, True)
    reading.refresh_from_db()
    assert (reading.state, reading.facts) == ("answered", {"age": "63", "sex": "female"})
    assert reading.answer["fused"]["label"] == "normal"


def test_a_film_whose_file_is_gone_is_refused(waiting: Film) -> None:
    storage.original(waiting.id).unlink()
    make_due()
    answering.answer_due(10)
    assert set(waiting.readings.values_list("state", "error_code")) == {("refused", "file_missing")}


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_comes_late_is_stored_when_it_comes(
    send: Send, reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "PATIENCE_SECONDS", 0.05)
    go_on, stored = threading.Event(), threading.Semaphore(0)
    real = answering.store

    def store(*arguments: Any) -> bool:
        try:
            return real(*arguments)
        finally:
            stored.release()

    def late(request: httpx.Request) -> httpx.Response:
        assert go_on.wait(10)
        return httpx.Response(200, json=answer("knee", request.content, {}))

    monkeypatch.setattr(answering, "store", store)
    reader.faults["all"] = late
    response = send(film_bytes())
    assert response.json()["state"] == "waiting"
    go_on.set()
    assert all(stored.acquire(timeout=60) for _ in range(3))
    assert Film.objects.get().state == "answered"
    assert len(reader.asked) == 3


@pytest.mark.django_db(transaction=True)
def test_many_workers_answer_each_question_once(owner: User, reader: FakeReader) -> None:
    """Four threads with connections of their own work on 24 questions."""
    with patch.object(answering, "answer_now"):
        for seed in range(8):
            intake.receive(owner, "a.png", film_bytes(seed), {})
    Reading.objects.update(lease=None, leased_until=None)

    def work() -> None:
        try:
            while answering.answer_due(3)[0]:
                pass
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Reading.objects.filter(state="answered").count() == 24
    assert len(reader.asked) == 24


def test_a_film_that_is_too_costly_is_never_sent_again(client: Client, waiting: Film, reader: FakeReader) -> None:
    reader.faults["knee"] = refusal(413, "too_costly", "decoding takes longer than 2 s of CPU")
    make_due()
    answering.answer_due(10)
    assert states(waiting) == ["refused", "answered", "answered"]
    reader.come_back()
    reader.asked.clear()
    make_due()
    answering.answer_due(10)
    client.post(f"/films/{waiting.id}/reread")
    client.post(f"/films/{waiting.id}/edit", {"age": "63"})
    client.post("/films/selected", {"action": "reread", "films": [waiting.id]})
    make_due()
    answering.answer_due(10)
    assert sorted({model for model, _ in reader.asked}) == ["efficientnet", "yolov5"]
    text = client.get(f"/films/{waiting.id}/").content.decode()
    assert "decoding takes longer" in text


def test_where_nobody_can_be_asked_the_page_says_so(client: Client, film: Film, reader: FakeReader) -> None:
    reader.faults["all"] = refusal(413, "too_costly", "decoding takes longer than 2 s of CPU")
    client.post(f"/films/{film.id}/reread")
    requests = len(reader.asked)
    page = client.post(f"/films/{film.id}/reread", follow=True).content.decode()
    assert "Nobody is asked" in page
    assert len(reader.asked) == requests
