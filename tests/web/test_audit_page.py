"""The audit log's page: filters, pages, table, and how often it asks the database."""

import csv
from datetime import UTC, datetime
from uuid import UUID

import pytest
from accounts.models import AuditEntry, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from films.models import Film, Patient
from people import PASSWORD

PAGE, TABLE = "/staff/audit", "/staff/audit.csv"
FILM = UUID("0a1b2c3d-0000-4000-8000-000000000001")


@pytest.fixture
def desk(db: None) -> Client:
    """The browser of staff; the log is empty."""
    browser = Client()
    browser.force_login(User.objects.create_user("boss", password=PASSWORD, is_staff=True))
    AuditEntry.objects.all().delete()
    return browser


def write(at: datetime, who: str, what: str, film: UUID | None = None, detail: str = "") -> None:
    entry = AuditEntry.objects.create(user_name=who, action=what, film_id=film, detail=detail, address="10.0.0.1")
    AuditEntry.objects.filter(pk=entry.pk).update(at=at)


@pytest.fixture
def lines(desk: Client) -> None:
    """Three lines around midnight, UTC."""
    write(datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), "ada", "view", FILM)
    write(datetime(2026, 3, 2, 0, 0, 0, tzinfo=UTC), "eve", "failed log-in", detail="second factor")
    write(datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC), "Adam", "delete", FILM, "=1+1")


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize(
    ("query", "who"),
    [
        ("who=ada", ["Adam", "ada"]),
        ("who=eve&what=failed log-in", ["eve"]),
        ("what=delete", ["Adam"]),
        ("about=0a1b2c3d", ["Adam", "ada"]),
        ("about=0A1B2C3D-0000-4000-8000-000000000001", ["Adam", "ada"]),
        ("about=0a1b2c3e", []),
        ("about=0a1b2", []),
        ("about=P-1", ["Adam", "ada"]),
        ("from=2026-03-02&to=2026-03-02", ["Adam", "eve"]),
        ("to=2026-03-01", ["ada"]),
        ("from=2026-03-03&to=2026-03-03", []),
        ("who=nobody", []),
    ],
)
def test_filters(desk: Client, owner: User, query: str, who: list[str]) -> None:
    patient = Patient.objects.create(owner=owner, name="p-1")
    Film.objects.create(pk=FILM, owner=owner, sha256="0" * 64, name="a.png", format="PNG", bytes=1, width=9, height=9,
                        patient=patient)  # fmt: skip
    page = desk.get(f"{PAGE}?{query}")
    assert [entry.user_name for entry in page.context["page"]] == who
    table = b"".join(desk.get(f"{TABLE}?{query}").streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert [row["who"] for row in csv.DictReader(table.splitlines())] == who


@pytest.mark.usefixtures("lines")
def test_the_table_states_its_time_zone_and_starts_no_formula(desk: Client) -> None:
    response = desk.get(f"{TABLE}?what=delete")
    rows = list(csv.reader(b"".join(response.streaming_content).decode("utf-8-sig").splitlines()))  # type: ignore[attr-defined]
    assert rows == [
        ["at_utc", "who", "what", "film", "detail", "address"],
        ["2026-03-02T23:59:59+00:00", "Adam", "delete", str(FILM), "'=1+1", "10.0.0.1"],
    ]
    entry = AuditEntry.objects.latest("pk")
    assert (entry.user_name, entry.action, entry.detail) == ("boss", "export", "audit log, 1 lines")
    assert "times are UTC" in desk.get(PAGE).content.decode()


@pytest.mark.usefixtures("lines")
@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=2026-02-30", "what=dance", "who=" + "x" * 200, "page=99&who=a", "page=x"]
)
def test_what_makes_no_sense_is_named_and_breaks_nothing(desk: Client, query: str) -> None:
    page = desk.get(f"{PAGE}?{query}")
    assert page.status_code == 200
    assert bool(page.context["form"].errors) == ("page" not in query)


def queries(desk: Client, query: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert desk.get(f"{PAGE}?{query}").status_code == 200
    return len(captured)


def test_as_many_queries_for_three_lines_as_for_three_hundred(desk: Client, lines: None) -> None:
    few = queries(desk, "who=a"), queries(desk, "")
    for number in range(300):
        write(datetime(2026, 3, 3, tzinfo=UTC), f"ada {number}", "view", FILM)
    assert (queries(desk, "who=a"), queries(desk, "")) == few
    first, last = desk.get(f"{PAGE}?who=a"), desk.get(f"{PAGE}?who=a&page=4")
    assert (len(first.context["page"]), first.context["page"].paginator.num_pages) == (100, 4)
    assert "?who=a&amp;page=3" in last.content.decode()


def test_a_look_at_the_log_is_in_it(desk: Client) -> None:
    desk.get(PAGE)
    entry = AuditEntry.objects.get()
    assert (entry.user_name, entry.action, entry.detail, entry.at.date()) == (
        "boss", "list", "audit log", datetime.now(UTC).date(),
    )  # fmt: skip


def test_log_ins_say_how(owner: User) -> None:
    Client().post("/accounts/login", {"username": "ada", "password": PASSWORD})
    Client().post("/accounts/login", {"username": "ada", "password": "wrong"})
    entries = AuditEntry.objects.order_by("pk").values_list("action", "user_name", "detail")
    assert list(entries) == [("log-in", "ada", "password"), ("failed log-in", "ada", "password")]
