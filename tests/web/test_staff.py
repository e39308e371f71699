"""What staff does with accounts, and what it cannot do."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from accounts import managing
from accounts.models import AuditEntry, Token, User
from django.test import Client
from films.models import Film
from people import PASSWORD

LOG_IN = "/accounts/login"


@pytest.fixture
def boss(db: None) -> User:
    """The only account of staff."""
    return User.objects.create_user("boss", password=PASSWORD, is_staff=True)


@pytest.fixture
def desk(boss: User) -> Client:
    """The browser of staff."""
    browser = Client()
    browser.force_login(boss)
    return browser


@pytest.fixture
def change(desk: Client) -> Callable[..., Any]:
    """Do something to an account, as staff."""

    def post(user: User, action: str, **form: str) -> Any:
        return desk.post(f"/staff/accounts/{user.pk}/{action}", form)

    return post


def shown_secret(response: Any) -> str:
    """The password that a page shows once."""
    match = re.search(r'class="secret">([^<]+)<', response.content.decode())
    assert match
    return match.group(1)


def lines(*actions: str) -> list[tuple[str, str, str]]:
    """Who did what to whom, as the audit log has it."""
    entries = AuditEntry.objects.filter(action__in=actions).order_by("pk")
    return list(entries.values_list("user_name", "action", "detail"))


def test_a_new_account_logs_in_once_with_the_password_that_is_shown_once(desk: Client) -> None:
    added = desk.post("/staff/accounts/add", {"name": "eve", "reviewer": "on"})
    password = shown_secret(added)
    eve = User.objects.get(username="eve")
    assert (eve.role, eve.must_change_password, added["Cache-Control"]) == ("reviewer", True, "private, no-store")
    assert password not in desk.get(f"/staff/accounts/{eve.pk}/").content.decode()
    browser = Client()
    assert browser.post(LOG_IN, {"username": "eve", "password": password}).status_code == 302
    assert browser.get("/films/")["Location"] == "/accounts/password"
    assert lines("account added") == [("boss", "account added", "eve, reviewer")]
    for name in ("eve", "e v e", "", "x" * 151, "a\0b"):
        assert desk.post("/staff/accounts/add", {"name": name}).status_code == 400
    assert User.objects.count() == 2


def test_the_list_has_role_films_and_state(desk: Client, owner: User, film: Film) -> None:
    managing.add("eve", staff=False, reviewer=True)
    managing.close(owner.pk)
    rows = {row["username"]: row for row in desk.get("/staff/").context["people"]}
    facts = {name: (row["is_staff"], row["reviewer"], row["is_active"], row["films"]) for name, row in rows.items()}
    assert facts == {"ada": (False, False, False, 1), "boss": (True, False, True, 0), "eve": (False, True, True, 0)}


def test_a_closed_account_is_out_at_once_and_its_films_stay(
    change: Callable[..., Any], owner: User, client: Client, film: Film
) -> None:
    app = Client(headers={"Authorization": f"Bearer {Token.create(owner)}"})
    assert (client.get("/films/").status_code, app.get("/api/films").status_code) == (200, 200)
    assert change(owner, "close").status_code == 302
    assert (client.get("/films/").status_code, app.get("/api/films").status_code) == (302, 401)
    assert Client().post(LOG_IN, {"username": "ada", "password": PASSWORD}).context["form"].errors
    assert change(owner, "reopen").status_code == 302
    # What had ended stays so; the password is the same.
    assert (client.get("/films/").status_code, app.get("/api/films").status_code) == (302, 401)
    browser = Client()
    assert browser.post(LOG_IN, {"username": "ada", "password": PASSWORD}).status_code == 302
    assert browser.get(f"/films/{film.id}/").status_code == 200
    assert lines("account closed", "account reopened") == [
        ("boss", "account closed", "account ada, member"),
        ("boss", "account reopened", "account ada, member"),
    ]


def test_the_last_open_staff_account_stays(change: Callable[..., Any], boss: User, owner: User) -> None:
    closed = User.objects.create_user("former", password=PASSWORD, is_staff=True, is_active=False)
    for action in ("close", "role"):
        assert change(boss, action)["Location"] == f"/staff/accounts/{boss.pk}/"
        boss.refresh_from_db()
        assert (boss.is_active, boss.is_staff) == (True, True)
    assert change(closed, "role").status_code == 302  # that one opens nothing anyway
    change(owner, "role", staff="on")
    assert change(boss, "role")["Location"] == "/"
    boss.refresh_from_db()
    assert (boss.is_staff, User.objects.get(username="ada").is_staff) == (False, True)
    assert change(owner, "role").status_code == 404  # no staff any more, so the page is not there
    with pytest.raises(managing.LastStaff):
        managing.close(owner.pk)


def test_promotion_and_demotion(change: Callable[..., Any], owner: User, client: Client) -> None:
    assert client.get("/staff/").status_code == 404
    change(owner, "role", staff="on", reviewer="on")
    assert client.get("/staff/").status_code == 200
    change(owner, "role", reviewer="on")
    assert client.get("/staff/").status_code == 404
    assert User.objects.get(pk=owner.pk).role == "reviewer"
    change(owner, "role")
    assert User.objects.get(pk=owner.pk).role == "member"
    assert [detail for _, _, detail in lines("role changed")] == [
        "account ada, staff",
        "account ada, reviewer",
        "account ada, member",
    ]


def test_a_reset_password_is_for_one_time_and_ends_sessions_and_tokens(
    change: Callable[..., Any], owner: User, client: Client
) -> None:
    app = Client(headers={"Authorization": f"Bearer {Token.create(owner)}"})
    password = shown_secret(change(owner, "password"))
    assert (client.get("/films/").status_code, app.get("/api/films").status_code) == (302, 401)
    assert not owner.sessions.exists()
    browser = Client()
    assert browser.post(LOG_IN, {"username": "ada", "password": PASSWORD}).context["form"].errors
    assert browser.post(LOG_IN, {"username": "ada", "password": password}).status_code == 302
    assert browser.get("/")["Location"] == "/accounts/password"
    assert lines("password reset") == [("boss", "password reset", "account ada, member")]
    assert password not in str(list(AuditEntry.objects.values()))


def test_staff_sees_tokens_of_others_and_revokes_them(
    change: Callable[..., Any], desk: Client, owner: User, boss: User
) -> None:
    text, own = Token.create(owner, "ward round"), Token.create(boss, "script")
    page = desk.get(f"/staff/accounts/{owner.pk}/").content.decode()
    assert "ward round" in page
    assert (text in page, owner.tokens.get().digest in page) == (False, False)
    # A token's number under another account opens nothing.
    assert change(owner, "token", token=str(boss.tokens.get().pk)).status_code == 404
    for number in ("", "x", "²", "9" * 30):
        assert change(owner, "token", token=number).status_code == 404
    assert change(owner, "token", token=str(owner.tokens.get().pk)).status_code == 302
    assert (Token.find(text), bool(Token.find(own))) == (None, True)


def test_sessions_of_others_are_ended(change: Callable[..., Any], owner: User, client: Client) -> None:
    assert change(owner, "sessions").status_code == 302
    assert client.get("/films/").status_code == 302


@pytest.mark.parametrize("path", ["", "accounts/add", "accounts/1/", "audit", "audit.csv"])
def test_others_learn_nothing_of_the_pages(client: Client, path: str) -> None:
    assert client.get(f"/staff/{path}").status_code == 404
    assert Client().get(f"/staff/{path}")["Location"].startswith("/accounts/login")


@pytest.mark.parametrize("action", ["close", "reopen", "password", "role", "second-factor", "sessions", "token"])
def test_others_change_nothing(client: Client, owner: User, boss: User, action: str, desk: Client) -> None:
    assert client.post(f"/staff/accounts/{boss.pk}/{action}").status_code == 404
    assert desk.get(f"/staff/accounts/{owner.pk}/{action}").status_code == 405
    assert desk.post(f"/staff/accounts/{owner.pk + 99}/{action}").status_code == 404
    assert desk.get(f"/staff/accounts/{owner.pk}/fire").status_code == 404
    boss.refresh_from_db()
    assert (boss.is_staff, boss.is_active, boss.check_password(PASSWORD)) == (True, True, True)
