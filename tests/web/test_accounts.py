"""Log-in, log-out, password, staff, and the commands that make accounts."""

import io
from typing import Any

import pytest
from accounts.first import first_account, one_time_password
from accounts.models import AuditEntry, Token, User
from django.core.management import CommandError, call_command
from django.test import Client
from films.models import Film
from people import PASSWORD

LOG_IN = "/accounts/login"


def test_log_in_and_out(owner: User) -> None:
    browser = Client()
    page = browser.get("/films/?q=a")
    assert page["Location"] == "/accounts/login?next=/films/%3Fq%3Da"
    assert browser.get(page["Location"]).status_code == 200
    entered = browser.post(LOG_IN, {"username": "ada", "password": PASSWORD, "next": "/films/?q=a"})
    assert entered["Location"] == "/films/?q=a"
    cookie = browser.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert browser.get("/").status_code == 200
    left = browser.post("/accounts/logout")
    assert (left["Location"], left["Clear-Site-Data"]) == ("/accounts/login", '"cache"')
    assert browser.get("/").status_code == 302
    logged = AuditEntry.objects.order_by("pk").values_list("action", "user_name")
    assert list(logged) == [("log-in", "ada"), ("list", "ada"), ("log-out", "ada")]


def test_wrong_methods(client: Client) -> None:
    assert client.get("/accounts/logout").status_code == 405
    assert client.put("/accounts/password").status_code == 405
    assert Client().delete(LOG_IN).status_code == 405
    assert client.post("/staff/").status_code == 405


@pytest.mark.parametrize("name", ["ada", "nobody", "a\0b", "x" * 1000, "<script>"])
def test_a_wrong_log_in(owner: User, name: str) -> None:
    response = Client().post(LOG_IN, {"username": name, "password": "wrong"})
    assert response.status_code == 200
    assert response.context["form"].errors
    assert "<script>" not in response.content.decode().replace("<script src", "").replace("<script type", "")


def test_nobody_is_sent_elsewhere(owner: User) -> None:
    response = Client().post(LOG_IN, {"username": "ada", "password": PASSWORD, "next": "https://evil.example/"})
    assert response["Location"] == "/"


def test_failed_log_ins_are_limited(owner: User) -> None:
    browser = Client()
    statuses = [browser.post(LOG_IN, {"username": "ada", "password": "wrong"}).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]
    locked = browser.post(LOG_IN, {"username": "ada", "password": PASSWORD})
    assert (locked.status_code, locked["Retry-After"]) == (429, "900")
    elsewhere = Client(REMOTE_ADDR="10.0.0.9").post(LOG_IN, {"username": "ada", "password": PASSWORD})
    assert elsewhere.status_code == 302


def test_a_one_time_password_is_changed_first(owner: User, client: Client, film: Film) -> None:
    User.objects.update(must_change_password=True)
    for url in ("/", "/films/", f"/films/{film.id}/", "/staff/"):
        assert client.get(url)["Location"] == "/accounts/password"
    assert client.post("/upload").json()["error"]["code"] == "password_must_change"
    assert client.get("/accounts/password").context["must_change"]
    new = "a louder afternoon"
    for words in ((PASSWORD, new, "other"), ("wrong", new, new), (PASSWORD, "12345678", "12345678"), ("", "", "")):
        form = dict(zip(("old_password", "new_password1", "new_password2"), words, strict=True))
        assert client.post("/accounts/password", form).status_code == 400
    Token.create(owner)
    changed = client.post("/accounts/password", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert changed["Location"] == "/"
    assert client.get("/").status_code == 200
    assert not Token.objects.exists()
    owner.refresh_from_db()
    assert (owner.must_change_password, owner.check_password(new)) == (False, True)


def test_staff_sees_counts_and_no_films(owner: User, client: Client, film: Film) -> None:
    assert client.get("/staff/").status_code == 404
    boss = User.objects.create_user("boss", password=PASSWORD, is_staff=True)
    browser = Client()
    browser.force_login(boss)
    response = browser.get("/staff/")
    assert response.status_code == 200
    people = {row["username"]: row["films"] for row in response.context["people"]}
    assert people == {"ada": 1, "boss": 0}
    queue = response.context["queue"]
    assert (queue["answered"], queue["waiting"], queue["readings"]) == (1, 0, 0)
    assert response.context["models"][0] == {"model": "efficientnet", "model_version": "1.0", "answered": 1}
    assert film.name not in response.content.decode()
    for name in ("", "picture.png", "thumb.jpg", "original"):
        assert browser.get(f"/films/{film.id}/{name}").status_code == 404


def test_the_first_account_gets_a_password_for_one_time(db: None) -> None:
    password = first_account()
    assert password is not None
    admin = User.objects.get()
    assert (admin.username, admin.is_staff, admin.must_change_password) == ("admin", True, True)
    assert admin.check_password(password)
    assert first_account() is None
    assert one_time_password() != one_time_password()


def test_the_first_account_with_a_given_password(db: None, settings: Any) -> None:
    settings.ADMIN_PASSWORD = "given from outside"
    assert first_account() is None
    admin = User.objects.get()
    assert (admin.must_change_password, admin.check_password("given from outside")) == (False, True)


def test_add_account(db: None) -> None:
    out = io.StringIO()
    call_command("add_account", "eve", "--staff", stdout=out)
    eve = User.objects.get(username="eve")
    assert eve.check_password(out.getvalue().split()[-1])
    assert (eve.is_staff, eve.is_superuser, eve.must_change_password) == (True, False, True)
    with pytest.raises(CommandError, match="already"):
        call_command("add_account", "eve")
    with pytest.raises(CommandError, match="too common"):
        call_command("add_account", "fay", "--password", "password")
    with pytest.raises(CommandError, match="valid username"):
        call_command("add_account", "f a y")
    assert User.objects.count() == 1
