"""GET /films/ and /films/export.csv."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from accounts.models import AuditEntry, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from films.models import Film
from web_films import film_bytes, make_films


def names(client: Client, query: str) -> list[str]:
    return [film.name for film in client.get(f"/films/?{query}").context["page"].object_list]


def test_the_newest_come_first_in_pages_of_fifty(client: Client, owner: User) -> None:
    make_films(owner, 60)
    context = client.get("/films/").context
    assert [film.name for film in context["page"].object_list] == [f"film{n:05}.png" for n in range(50)]
    assert (context["page"].paginator.count, context["page"].paginator.num_pages, context["total"]) == (60, 2, 60)
    assert names(client, "page=2") == [f"film{n:05}.png" for n in range(50, 60)]
    assert names(client, "page=99") == names(client, "page=2")
    assert names(client, "page=nonsense") == names(client, "")


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("q=patient+7", [7]),
        ("q=FILM00003", [3]),
        ("q=left", [1, 3, 5, 7]),
        ("q=100%25", []),
        ("q='%3B+DROP+TABLE", []),
        ("label=osteopenia", [1, 5]),
        ("label=none", [3, 7]),
        ("label=unheard+of", []),
        ("triage=refer", [2, 6]),
        ("from=2026-02-27", [0, 1, 2]),
        ("to=2026-02-24", [5, 6, 7]),
        ("from=2026-02-27&to=2026-02-28", [1, 2]),
        ("q=left&label=osteopenia&sort=oldest", [5, 1]),
        ("sort=oldest", [7, 6, 5, 4, 3, 2, 1, 0]),
        ("sort=name", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("sort=label", [3, 7, 0, 4, 1, 5, 2, 6]),
        ("sort=triage", [3, 7, 0, 4, 2, 6, 1, 5]),
        ("sort=state", [0, 1, 2, 4, 5, 6, 3, 7]),
    ],
)
def test_filters_and_orders(client: Client, owner: User, query: str, numbers: list[int]) -> None:
    make_films(owner, 8)
    assert names(client, query) == [f"film{n:05}.png" for n in numbers]


def test_films_are_sorted_by_the_name_they_are_shown_under(client: Client, owner: User) -> None:
    make_films(owner, 3)
    for number, label in enumerate(("zoe", "", "Anna")):
        Film.objects.filter(name=f"film0000{number}.png").update(label_text=label)
    assert names(client, "sort=name") == ["film00002.png", "film00001.png", "film00000.png"]  # Anna, film00001, zoe


@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=0000-00-00", "triage=x", "sort=x", "q=%00", "q=%FF%FE", "q=" + "x" * 300]
)
def test_nonsense_is_left_out(client: Client, owner: User, query: str) -> None:
    make_films(owner, 2)
    response = client.get(f"/films/?{query}")
    assert response.status_code == 200
    if not query.startswith("q=%FF"):
        assert response.context["filter_form"].errors
        assert len(response.context["page"].object_list) == 2


def test_only_ones_own(stranger: Client, film: Film) -> None:
    assert names(stranger, "") == []
    assert film.name not in b"".join(stranger.get("/films/export.csv").streaming_content).decode()


def test_htmx_gets_the_rows_alone(client: Client, film: Film) -> None:
    whole = client.get("/films/").content.decode()
    part = client.get("/films/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" in whole
    assert "<html" not in part
    assert str(film.id) in part
    restored = client.get("/films/", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert "<html" in restored.content.decode()


def test_query_goes_to_the_next_page(client: Client, owner: User) -> None:
    assert client.get("/films/?q=a%26b&label=&page=2").context["query"] == "q=a%26b"


def queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def test_as_many_queries_with_thirty_as_with_three_hundred_films(client: Client, owner: User) -> None:
    make_films(owner, 30)
    few = queries(client, "/films/?q=patient"), queries(client, "/films/")
    Film.objects.all().delete()
    make_films(owner, 300)
    assert (queries(client, "/films/?q=patient"), queries(client, "/films/")) == few
    # Session, user, labels, count, page, who saw it, the audit log, and the first time that it was seen.
    assert few == (8, 7)


def test_wrong_method_and_no_log_in(client: Client) -> None:
    assert client.post("/films/").status_code == 405
    assert client.post("/films/export.csv").status_code == 405
    assert Client().get("/films/")["Location"].startswith("/accounts/login?next=")


def test_the_table_holds_what_passes(client: Client, owner: User) -> None:
    make_films(owner, 8)
    response = client.get("/films/export.csv?triage=refer")
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["name"] for row in rows] == ["film00002.png", "film00006.png"]
    assert rows[0]["label"] == "osteoporosis"
    assert response["Content-Disposition"] == 'attachment; filename="films.csv"'
    assert AuditEntry.objects.get(action="export").detail == "table of 2 films"


def test_no_cell_is_a_formula(client: Client, send: Callable[..., Any]) -> None:
    send(film_bytes(), label_text="=HYPERLINK(1)", note='@SUM(A1)",2')
    text = b"".join(client.get("/films/export.csv").streaming_content).decode("utf-8-sig")
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["label_text"] == "'=HYPERLINK(1)"
    assert row["note"] == "'@SUM(A1)\",2"
    assert row["t_score"] == "-1.8"
