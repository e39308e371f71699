"""POST /films/<id>/delete."""

from accounts.models import AuditEntry
from django.test import Client
from films import storage
from films.models import Film, Reading
from refusals import check_refusals


def test_everything_of_the_film_goes(client: Client, film: Film) -> None:
    assert storage.folder(film.id).is_dir()
    assert client.post(f"/films/{film.id}/delete").status_code == 302
    assert not Film.objects.exists()
    assert not Reading.objects.exists()
    assert not storage.folder(film.id).exists()
    assert AuditEntry.objects.filter(action="delete", film_id=film.id).count() == 1


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
