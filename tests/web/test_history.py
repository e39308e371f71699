"""GET /films/ and /films/export.csv."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from accounts.models import AuditEntry, Token, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from films import patients
from films.models import Film
from web_films import DAY, film_bytes, make_films


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
        ("sort=-name", [7, 6, 5, 4, 3, 2, 1, 0]),
        # What has no value comes last either way.
        ("sort=label", [0, 4, 1, 5, 2, 6, 3, 7]),
        ("sort=-label", [2, 6, 1, 5, 0, 4, 3, 7]),
        ("sort=triage", [2, 6, 1, 5, 0, 4, 3, 7]),
        ("sort=-triage", [0, 4, 1, 5, 2, 6, 3, 7]),
        ("sort=state", [0, 1, 2, 4, 5, 6, 3, 7]),
    ],
)
def test_filters_and_orders(client: Client, owner: User, query: str, numbers: list[int]) -> None:
    make_films(owner, 8)
    assert names(client, query) == [f"film{n:05}.png" for n in numbers]


def test_numbers_and_models_sort_with_the_empty_ones_last(client: Client, owner: User) -> None:
    make_films(owner, 4)
    for number, score, model in ((0, -1.5, "knee"), (1, 0.5, "yolov5"), (2, -2.5, "knee")):
        Film.objects.filter(name=f"film0000{number}.png").update(t_score=score, model=model)
    orders = {"t_score": [2, 0, 1, 3], "-t_score": [1, 0, 2, 3], "model": [0, 2, 1, 3], "-model": [1, 0, 2, 3]}
    for sort, numbers in orders.items():
        assert names(client, f"sort={sort}") == [f"film{n:05}.png" for n in numbers], sort


@pytest.mark.parametrize("sort", ["label", "-triage", "t_score", "-model", "name", "state", "patient"])
def test_pages_of_equals_have_each_film_once(client: Client, owner: User, sort: str) -> None:
    make_films(owner, 120)
    Film.objects.update(label="", triage="", label_text="same", uploaded_at=DAY)
    shown = [name for page in (1, 2, 3) for name in names(client, f"sort={sort}&page={page}")]
    assert len(set(shown)) == len(shown) == 120


def test_headers_sort_and_say_how(client: Client, owner: User) -> None:
    make_films(owner, 2)

    def headers(query: str) -> dict[str, tuple[str, str]]:
        found = re.findall(r'<th scope="col"([^>]*)><a class="sort" id="sort-(\w+)" href="([^"]*)"', page(query))
        return {name: ("".join(re.findall('aria-sort="(.*)"', sort)), href) for sort, name, href in found}

    def page(query: str) -> str:
        return client.get(f"/films/?{query}").content.decode()

    at_first = headers("")
    assert list(at_first) == ["name", "label", "triage", "t_score", "model", "date"]
    assert {name: sort for name, (sort, _) in at_first.items() if sort} == {"date": "descending"}
    assert at_first["date"][1] == "?sort=oldest"
    by_name = headers("q=film&page=2&sort=name")
    assert by_name["name"] == ("ascending", "?q=film&amp;sort=-name")
    assert by_name["label"] == ("", "?q=film&amp;sort=label")
    assert headers("sort=-name")["name"] == ("descending", "?sort=name")
    assert headers("sort=oldest")["date"] == ("ascending", "?sort=newest")


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


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        # Session, user, labels, numbers of films, films, who saw them, audit log, deletions, progress.
        ("/films/", 9),
        ("/films/?sort=-name&page=99", 9),
        ("/films/?sort=oldest", 9),
        ("/films/?q=patient", 9),
        ("/films/?label=osteopenia&triage=uncertain", 9),
        ("/films/?sort=patient", 10),  # and all films of the patients
        # Session, user, the lists' counts, numbers of films, films, who saw them, audit log.
        ("/worklist/?view=refer", 7),
        ("/worklist/?view=mine&page=99", 7),
        # Token, labels, how many, films, who saw them, audit log.
        ("/api/films?page_size=10", 6),
    ],
)
def test_as_many_queries_with_ten_as_with_two_hundred_films(
    client: Client, owner: User, url: str, expected: int
) -> None:
    if url.startswith("/api/"):
        client = Client(headers={"Authorization": f"Bearer {Token.create(owner)}"})
    for number in (10, 200):
        make_films(owner, number)
        for film in Film.objects.filter(patient=None)[:5]:
            patients.set_fact(film, "patient", f"P-{number}")
            film.save()
        Film.objects.update(assigned_to=owner)
        queries(client, url)  # the first time, what is seen is noted
        assert queries(client, url) == expected, number
        Film.objects.all().delete()


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


def test_a_search_with_many_hits_counts_them(client: Client, owner: User) -> None:
    make_films(owner, 520)
    page = client.get("/films/?q=patient&page=11").context["page"]
    assert (page.paginator.count, page.paginator.num_pages, len(page)) == (520, 11, 20)
    page = client.get("/films/?q=patient+51&page=2").context["page"]  # 51 and 510 to 519
    assert (page.paginator.count, page.number, len(page)) == (11, 1, 11)
