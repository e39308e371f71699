"""API tokens of one's own, and sessions."""

import hashlib
import re
from datetime import timedelta

import pytest
from accounts.models import MOST_TOKEN_DAYS, AuditEntry, Session, Token, User
from accounts.sessions import in_words
from django.test import Client
from django.utils import timezone
from people import PASSWORD

OWN, TOKENS = "/accounts/", "/accounts/tokens"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"


def make(client: Client, name: str, days: int = 90) -> str:
    """A new token, as the page shows it."""
    match = re.search(r'class="secret">([^<]+)<', client.post(TOKENS, {"name": name, "days": days}).content.decode())
    assert match
    return match.group(1)


def status(token: str) -> int:
    """What the API answers to a token."""
    return Client(headers={"Authorization": f"Bearer {token}"}).get("/api/films").status_code


def days_left(token: str) -> int:
    """Days until it ends, rounded."""
    left = Token.objects.get(digest=hashlib.sha256(token.encode()).hexdigest()).expires_at - timezone.now()
    return round(left / timedelta(days=1))


def test_several_tokens_each_revoked_by_itself(client: Client, owner: User) -> None:
    first, second = make(client, "ward round"), make(client, "script", 7)
    assert (status(first), status(second), days_left(first), days_left(second)) == (200, 200, 90, 7)
    page = client.get(OWN).content.decode()
    assert ("ward round" in page, "script" in page, first in page, second in page) == (True, True, False, False)
    assert [text in str(list(Token.objects.values())) for text in (first, second)] == [False, False]
    client.post(f"{TOKENS}/{Token.objects.get(name='ward round').pk}/revoke")
    assert (status(first), status(second)) == (401, 200)
    entries = AuditEntry.objects.filter(action__startswith="token").order_by("pk").values_list("action", "detail")
    assert list(entries) == [
        ("token", "ward round, 90 days"), ("token", "script, 7 days"), ("token revoked", "ward round"),
    ]  # fmt: skip


def test_a_token_ends_by_itself(client: Client, owner: User) -> None:
    token = make(client, "short", 7)
    Token.objects.update(expires_at=timezone.now() + timedelta(seconds=60))
    assert status(token) == 200
    Token.objects.update(expires_at=timezone.now())
    assert status(token) == 401
    assert ">over<" in client.get(OWN).content.decode()


def test_no_token_goes_beyond_a_year(client: Client, owner: User) -> None:
    for days in ("366", "0", "-1", "", "x"):
        assert client.post(TOKENS, {"name": "long", "days": days}).status_code == 400
    assert not Token.objects.exists()
    assert days_left(Token.create(owner, "from code", 10_000)) == MOST_TOKEN_DAYS == 365
    login = {"username": "ada", "password": PASSWORD, "name": "phone", "days": 366}
    assert Client().post("/api/token", login, "application/json").status_code == 400
    answer = Client().post("/api/token", login | {"days": 30}, "application/json").json()
    assert (days_left(answer["token"]), answer["days"]) == (30, 30)
    assert Token.objects.filter(name="phone").count() == 1


def test_the_last_use_is_shown_and_written_at_most_once_a_minute(client: Client) -> None:
    token = make(client, "script")
    assert Token.objects.get().used_at is None
    status(token)
    first = Token.objects.get().used_at
    assert first is not None
    status(token)
    assert Token.objects.get().used_at == first
    Token.objects.update(used_at=first - timedelta(seconds=61))
    status(token)
    assert Token.objects.get().used_at > first - timedelta(seconds=1)


def test_tokens_of_others_are_not_there(client: Client, stranger: Client) -> None:
    token = make(client, "mine")
    assert stranger.post(f"{TOKENS}/{Token.objects.get().pk}/revoke").status_code == 404
    assert "mine" not in stranger.get(OWN).content.decode()
    assert (status(token), client.get(TOKENS).status_code) == (200, 405)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 61])
def test_odd_names_are_refused(client: Client, name: str) -> None:
    assert client.post(TOKENS, {"name": name, "days": "90"}).status_code == 400
    assert not Token.objects.exists()


def test_fifty_tokens_are_enough(client: Client, owner: User) -> None:
    for number in range(50):
        Token.create(owner, f"{number}")
    assert client.post(TOKENS, {"name": "one more", "days": "90"}).status_code == 400
    Token.objects.filter(name="7").update(expires_at=timezone.now())  # one that is over makes room
    assert client.post(TOKENS, {"name": "one more", "days": "90"}).status_code == 200
    assert Token.objects.count() == 50


def log_in(agent: str, address: str, name: str = "ada") -> Client:
    browser = Client(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    assert browser.post("/accounts/login", {"username": name, "password": PASSWORD}).status_code == 302
    return browser


def test_sessions_are_listed_and_ended(owner: User, stranger: Client) -> None:
    here, there, phone = log_in(FIREFOX, "10.0.0.1"), log_in("curl/8", "10.0.0.2"), log_in("x", "10.0.0.3")
    shown = here.get(OWN).context["sessions"]
    assert {(one["words"], one["row"].address, one["here"]) for one in shown} == {
        ("Firefox on Linux", "10.0.0.1", True),
        ("Something that does not say what it is", "10.0.0.2", False),
        ("Something that does not say what it is", "10.0.0.3", False),
    }
    page = here.get(OWN).content.decode()
    assert [row.pk in page for row in Session.objects.all()] == [False] * 4  # a key opens its session
    number = next(one["id"] for one in shown if one["row"].address == "10.0.0.2")
    stranger.post("/accounts/sessions/end", {"session": number})
    assert there.get(OWN).status_code == 200
    here.post("/accounts/sessions/end", {"session": number})
    assert (there.get(OWN).status_code, phone.get(OWN).status_code) == (302, 200)
    here.post("/accounts/sessions/end", {"all": ""})
    assert (here.get(OWN).status_code, phone.get(OWN).status_code, stranger.get(OWN).status_code) == (200, 302, 200)
    here.post("/accounts/sessions/end", {})  # ends none
    assert here.get(OWN).status_code == 200


def test_the_last_visit_is_noted_without_putting_the_session_off(client: Client, owner: User) -> None:
    before = owner.sessions.get()
    Session.objects.update(seen_at=before.seen_at - timedelta(minutes=5))
    client.get("/films/", REMOTE_ADDR="10.0.0.7")
    after = owner.sessions.get()
    assert (after.seen_at >= before.seen_at, after.address) == (True, "10.0.0.7")
    assert (after.expire_date, after.session_data) == (before.expire_date, before.session_data)


def test_a_new_password_ends_the_other_sessions(owner: User) -> None:
    here, there = log_in(FIREFOX, "10.0.0.1"), log_in("curl/8", "10.0.0.2")
    new = "a louder afternoon"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/accounts/password", form).status_code == 302
    assert (here.get(OWN).status_code, there.get(OWN).status_code) == (200, 302)
    assert [row.address for row in owner.sessions.all()] == ["10.0.0.1"]


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
         "Safari/537.36 Edg/131.0.0.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
         "Mobile/15E148 Safari/604.1", "Safari on an iPhone"),
        ("Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 "
         "Chrome/115.0.0.0 Mobile Safari/537.36", "Samsung Internet on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
         "Safari/537.36", "Chrome on a Mac"),
        ("Mozilla/5.0 (X11; CrOS x86_64) something", "A browser on ChromeOS"),
        ("", "Something that does not say what it is"),
    ],
)  # fmt: skip
def test_browsers_in_words(agent: str, words: str) -> None:
    assert in_words(agent) == words
