"""POST /films/<id>/delete, its undo, and what is removed when nobody undoes it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from accounts.models import AuditEntry
from django.test import Client
from django.utils import timezone
from fake_reader import FakeReader
from films import answering, retention, storage
from films.models import Film, Patient, Reading
from refusals import check_refusals
from web_films import film_bytes, let_deletions_pass


def deletion(client: Client) -> dict[str, str]:
    """The form of the latest deletion's undo, as the history shows it."""
    [latest, *_] = client.get("/films/").context["deletions"]
    return {"deletion": latest.deleted_at.isoformat()}


def test_everything_of_the_film_goes(client: Client, film: Film) -> None:
    assert storage.folder(film.id).is_dir()
    assert client.post(f"/films/{film.id}/delete").status_code == 302
    assert not Film.objects.exists()
    assert retention.remove_deleted() == 0  # it can still be undone
    assert storage.folder(film.id).is_dir()
    assert let_deletions_pass() == 1
    assert not Film.with_deleted.exists()
    assert not Reading.objects.exists()
    assert not storage.folder(film.id).exists()
    assert AuditEntry.objects.filter(action="delete", film_id=film.id).count() == 1


def test_a_deleted_film_is_nowhere_until_the_deletion_is_undone(
    client: Client, film: Film, reader: FakeReader, send: Callable[..., Any]
) -> None:
    Film.objects.update(patient=Patient.objects.create(owner=film.owner, name="P-1"), open_for_review=True)
    pages = ["", "state", "picture.png", "thumb.jpg", "overlay.png", "answer.json", "report.pdf", "original"]
    addresses = [*(f"/films/{film.id}/{page}" for page in pages), f"/reviews/{film.id}/"]
    client.post(f"/films/{film.id}/delete")
    assert {address: client.get(address).status_code for address in addresses} == dict.fromkeys(addresses, 404)
    assert client.post(f"/films/{film.id}/edit", {"note": "x"}).status_code == 404
    for page in ("/", "/films/", "/worklist/", f"/patients/{Patient.objects.get().pk}/", "/films/export.csv"):
        assert str(film.id) not in client.get(page).getvalue().decode(), page
    undo = deletion(client)
    assert client.post("/films/undo", undo, follow=True).context["total"] == 1
    assert {address: client.get(address).status_code for address in addresses} == dict.fromkeys(addresses, 200)
    assert (let_deletions_pass(), Film.objects.count()) == (0, 1)
    assert AuditEntry.objects.filter(action="undo delete", film_id=film.id).count() == 1


def test_the_offer_ends_after_ten_seconds_and_an_undo_that_is_too_late_says_so(client: Client, film: Film) -> None:
    client.post(f"/films/{film.id}/delete")
    [shown] = client.get("/films/").context["deletions"]
    assert (shown.count, 9 <= shown.seconds <= 10) == (1, True)
    undo = deletion(client)
    Film.with_deleted.update(deleted_at=timezone.now() - timedelta(seconds=11))
    assert client.get("/films/").context["deletions"] == []
    assert retention.remove_deleted() == 0  # an undo of the last second may be on its way
    let_deletions_pass()
    late = client.post("/films/undo", undo, follow=True)
    assert "too late" in late.content.decode()
    for nonsense in ("", "x", "2026-01-01", "0000-00-00T00:00:00Z", "2026-01-01T00:00:00"):
        assert client.post("/films/undo", {"deletion": nonsense}).status_code == 302


def test_nobody_undoes_what_others_deleted(client: Client, stranger: Client, film: Film) -> None:
    client.post(f"/films/{film.id}/delete")
    stranger.post("/films/undo", deletion(client))
    assert not Film.objects.exists()
    assert stranger.get("/films/").context["deletions"] == []


def test_films_deleted_together_go_together_or_not_at_all(
    client: Client, film: Film, send: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = send(film_bytes(1)).json()["id"]
    client.post("/films/selected", {"action": "delete", "films": [film.id, other]})
    assert Film.with_deleted.values("deleted_at").distinct().count() == 1
    # Killed after the rows are gone: the folders have no rows, and are swept up.
    monkeypatch.setattr(storage, "remove", lambda _film_id: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        let_deletions_pass()
    assert not Film.with_deleted.exists()
    assert storage.folder(film.id).exists()
    assert retention.sweep(-1.0) == 2


def test_a_film_that_waits_is_not_asked_about_while_it_is_deleted_and_is_answered_when_it_is_back(
    client: Client, reader: FakeReader, send: Callable[..., Any]
) -> None:
    reader.go_away()
    film = Film.objects.get(pk=send(film_bytes()).json()["id"])
    reader.come_back()
    client.post(f"/films/{film.id}/delete")
    Reading.objects.update(next_try_at=timezone.now())
    assert answering.answer_due(4) == (0, True)
    assert retention.sweep() == 0
    client.post("/films/undo", deletion(client))
    assert answering.answer_due(4)[0] == 3
    film.refresh_from_db()
    assert film.state == "answered"


def test_the_same_film_can_be_sent_again_at_once(client: Client, film: Film, send: Callable[..., Any]) -> None:
    client.post(f"/films/{film.id}/delete")
    again = send(film_bytes())
    assert (again.status_code, again.json()["duplicate_of"]) == (201, None)
    client.post("/films/undo", deletion(client))
    assert Film.objects.count() == 2


def test_a_second_tab_deletes_it_too(client: Client, film: Film) -> None:
    client.post(f"/films/{film.id}/delete")
    response = client.post(f"/films/{film.id}/delete")
    assert response.status_code == 404
    assert "no longer" in response.content.decode()
    assert AuditEntry.objects.filter(action="delete").count() == 1


def test_refusals(client: Client, stranger: Client, film: Film) -> None:
    check_refusals(client, stranger, lambda film_id: f"/films/{film_id}/delete", "POST", film)


def test_a_form_from_elsewhere_is_refused(film: Film) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(film.owner)
    response = browser.post(f"/films/{film.id}/delete")
    assert response.status_code == 403
    assert "reload the page" in response.content.decode()
    assert Film.objects.exists()
