"""POST /films/<id>/edit."""

from typing import Any
from unittest.mock import patch

from accounts.models import AuditEntry
from django.test import Client
from fake_reader import FakeReader
from films.models import Film
from films.views import film as film_views
from refusals import check_refusals


def test_new_facts_are_new_questions_and_give_the_fused_answer(client: Client, film: Film, reader: FakeReader) -> None:
    reader.asked.clear()
    response = client.post(f"/films/{film.id}/edit", {"age": "63", "sex": "female", "label_text": "left"})
    assert response.status_code == 302
    film.refresh_from_db()
    assert (film.age, film.sex, film.label_text, film.note) == (63.0, "female", "left", "")
    assert [facts for _, facts in reader.asked] == [{"age": "63", "sex": "female"}] * 3
    context = client.get(f"/films/{film.id}/").context
    [_, fused] = context["main"].parts
    assert (fused.source, fused.label, fused.inputs) == ("with age and sex", "normal", ["age", "sex"])
    assert len(context["older"]) == 3
    assert context["ask_form"] is None
    assert AuditEntry.objects.filter(action="edit", film_id=film.id).exists()


def test_a_new_label_asks_nobody(client: Client, film: Film, reader: FakeReader) -> None:
    reader.asked.clear()
    client.post(f"/films/{film.id}/edit", {"label_text": "right", "note": "n", "open_for_review": "on"})
    film.refresh_from_db()
    assert (film.label_text, film.note, film.open_for_review, reader.asked) == ("right", "n", True, [])


def test_a_bad_fact_is_shown_beside_its_field(client: Client, film: Film) -> None:
    response = client.post(f"/films/{film.id}/edit", {"age": "200", "label_text": "right"})
    assert response.status_code == 400
    assert "age" in response.context["facts_form"].errors
    film.refresh_from_db()
    assert film.label_text == ""


def test_a_page_that_is_loaded_again_leads_back_to_the_film(client: Client, film: Film) -> None:
    for address in ("edit", "reread", "delete", "facts"):
        response = client.get(f"/films/{film.id}/{address}")
        assert (response.status_code, response["Allow"]) == (405, "POST")
        assert f'href="/films/{film.id}/"' in response.content.decode()


def test_refusals(client: Client, stranger: Client, film: Film) -> None:
    check_refusals(client, stranger, lambda film_id: f"/films/{film_id}/edit", "POST", film)


def test_deleted_in_another_tab_meanwhile(client: Client, film: Film) -> None:
    def find_then_lose(*arguments: Any) -> Film:
        film = film_of(*arguments)
        Film.objects.all().delete()
        return film

    film_of = film_views.film_of
    with patch.object(film_views, "film_of", find_then_lose):
        assert client.post(f"/films/{film.id}/edit", {"age": "63"}).status_code == 404
    assert not Film.objects.exists()
