"""POST /films/<id>/reread."""

from django.test import Client
from fake_reader import FakeReader
from films.models import Film, Reading
from refusals import check_refusals


def test_the_new_answer_counts_and_the_old_one_stays(client: Client, film: Film, reader: FakeReader) -> None:
    reader.version = "2.0"
    assert client.post(f"/films/{film.id}/reread").status_code == 302
    context = client.get(f"/films/{film.id}/").context
    assert [view.model_version for view in context["readings"]] == ["2.0"] * 3
    assert [old["model_version"] for old in context["older"]] == ["1.0"] * 3
    assert context["film"].model_version == "2.0"
    old = film.readings.filter(model_version="1.0").earliest("pk")
    assert client.get(f"/films/{film.id}/maps/{old.pk}/normal.png").status_code == 200


def test_while_it_is_asked_it_is_not_asked_again(client: Client, film: Film, reader: FakeReader) -> None:
    reader.go_away()
    client.post(f"/films/{film.id}/reread")
    client.post(f"/films/{film.id}/reread")
    assert Reading.objects.filter(state="queued").count() == 3
    film.refresh_from_db()
    assert film.state == "answered"  # by the earlier answer


def test_refusals(client: Client, stranger: Client, film: Film) -> None:
    check_refusals(client, stranger, lambda film_id: f"/films/{film_id}/reread", "POST", film)
