"""Single sign-on, from the log-in page to a real provider on this machine and back."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from accounts import sign_on
from accounts.models import AuditEntry, Identity, Token, User
from django.test import Client
from people import PASSWORD
from provider import Provider, query_of

START, BACK = "/accounts/sign-on", "/accounts/signed-on"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    people: list[tuple[str, dict[str, object]]] = [
        ("s-ada", {"preferred_username": "ada", "email": "ada@hospital.example", "email_verified": False}),
        ("s-eve", {"preferred_username": "eve <x>"}),
        ("s-none", {}),
    ]
    with Provider(*people) as provider:
        yield provider


@pytest.fixture
def provider(running: Provider, settings: Any) -> Iterator[Provider]:
    """The provider, set up in the app as the environment would."""
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = running.url, "osteolens", "secret"
    settings.OIDC_NAME, settings.OIDC_NEW_ACCOUNTS = "Hospital ID", "closed"
    yield running
    running.forge = None


@pytest.fixture
def come_back(provider: Provider) -> Callable[..., Any]:
    """Go to the provider with a browser, log in there, come back."""

    def go(browser: Client, subject: str, start: str = START) -> Any:
        sent = browser.get(start)
        assert sent.status_code == 302, sent.content
        return browser.get(provider.log_in(sent["Location"], subject).removeprefix("http://testserver"))

    return go


def failures() -> list[str]:
    return list(AuditEntry.objects.filter(action="failed log-in").order_by("pk").values_list("detail", flat=True))


def test_without_settings_there_is_nothing_of_it(owner: User, client: Client) -> None:
    assert "sign-on" not in Client().get("/accounts/login").content.decode()
    assert "sign-on" not in client.get("/accounts/").content.decode()
    assert [Client().get(path).status_code for path in (START, BACK)] == [404, 404]


def test_a_known_subject_is_let_in(owner: User, come_back: Callable[..., Any], provider: Provider) -> None:
    page = Client().get("/accounts/login?next=/films/").content.decode()
    assert "Log in with Hospital ID" in page
    assert f'href="{START}?next=/films/"' in page
    Identity.objects.create(user=owner, issuer=provider.url, subject="s-ada")
    browser = Client()
    entered = come_back(browser, "s-ada", f"{START}?next=/films/%3Fq%3Da")
    assert (entered.status_code, entered["Location"]) == (302, "/films/?q=a")
    assert browser.get("/films/").wsgi_request.user == owner
    entry = AuditEntry.objects.get(action="log-in")
    assert (entry.user_name, entry.detail) == ("ada", "single sign-on")
    assert owner.identities.get().used_at is not None
    # The password log-in goes on working beside it.
    assert Client().post("/accounts/login", {"username": "ada", "password": PASSWORD}).status_code == 302


def test_what_is_asked_of_the_provider(provider: Provider, db: None) -> None:
    asked = urlsplit(Client().get(START)["Location"])
    query = {name: values[0] for name, values in parse_qs(asked.query).items()}
    assert f"{asked.scheme}://{asked.netloc}" == provider.url
    expected = {"response_type": "code", "client_id": "osteolens", "scope": "openid profile",
                "redirect_uri": f"http://testserver{BACK}", "code_challenge_method": "S256"}  # fmt: skip
    assert {name: query[name] for name in expected} == expected
    assert min(len(query[name]) for name in ("state", "nonce", "code_challenge")) >= 20


def test_names_and_mail_open_no_account(owner: User, come_back: Callable[..., Any]) -> None:
    """The provider calls somebody `ada`, with her address: that is not the account `ada` here."""
    User.objects.update(email="ada@hospital.example")
    browser = Client()
    refused = come_back(browser, "s-ada")
    assert (refused.status_code, browser.get("/films/").status_code) == (403, 302)
    assert b"staff opens it" in refused.content
    made = User.objects.get(username="ada-2")
    assert (made.is_active, made.has_usable_password(), made.role) == (False, False, "member")
    assert (owner.identities.count(), failures()) == (0, ["single sign-on: your account is closed; staff opens it"])
    assert come_back(browser, "s-ada").status_code == 403  # no third account
    assert User.objects.count() == 2
    made.is_active = True
    made.save()
    assert come_back(browser, "s-ada").status_code == 302
    assert browser.get("/films/").wsgi_request.user == made


@pytest.mark.parametrize(("setting", "status", "names"), [("open", 302, ["eve-x"]), ("none", 403, [])])
def test_what_becomes_of_somebody_new_is_a_setting(
    come_back: Callable[..., Any], settings: Any, db: None, setting: str, status: int, names: list[str]
) -> None:
    settings.OIDC_NEW_ACCOUNTS = setting
    assert come_back(Client(), "s-eve").status_code == status
    assert [user.username for user in User.objects.all()] == names


def test_a_subject_without_a_name_gets_one(come_back: Callable[..., Any], settings: Any, db: None) -> None:
    settings.OIDC_NEW_ACCOUNTS = "open"
    assert come_back(Client(), "s-none").status_code == 302
    assert User.objects.get().username == "s-none"


@pytest.mark.parametrize("change", [{"state": "another"}, {"code": "another"}, {"state": ""}])
def test_an_answer_to_somebody_elses_request_is_refused(
    owner: User, provider: Provider, change: dict[str, str]
) -> None:
    Identity.objects.create(user=owner, issuer=provider.url, subject="s-ada")
    browser = Client()
    back = provider.log_in(browser.get(START)["Location"], "s-ada")
    assert browser.get(query_of(back, **change).removeprefix("http://testserver")).status_code == 403
    assert Client().get(back.removeprefix("http://testserver")).status_code == 403  # another browser
    assert browser.get("/films/").status_code == 302
    assert len(failures()) == 2


@pytest.mark.parametrize("how", ["another key", "none"])
@pytest.mark.parametrize("claims", [{}, {"sub": "s-ada"}])
def test_a_forged_identity_is_refused(
    owner: User, provider: Provider, come_back: Callable[..., Any], how: str, claims: Any
) -> None:
    Identity.objects.create(user=owner, issuer=provider.url, subject="s-ada")
    provider.forge = lambda signed: (signed | claims, how)
    browser = Client()
    assert come_back(browser, "s-eve").status_code == 403
    assert browser.get("/films/").status_code == 302


def test_who_says_no_there_stays_out(db: None, provider: Provider) -> None:
    browser = Client()
    back = provider.log_in(browser.get(START)["Location"], "s-ada", action="deny")
    refused = browser.get(back.removeprefix("http://testserver"))
    assert (refused.status_code, len(failures())) == (403, 1)


def test_a_provider_that_is_away_says_so(db: None, provider: Provider, settings: Any) -> None:
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    answer = Client().get(START)
    assert (answer.status_code, b"cannot be reached" in answer.content) == (403, True)
    settings.OIDC_ISSUER = f"{provider.url}/realms/other"  # no metadata there
    assert Client().get(START).status_code == 403
    settings.OIDC_ISSUER = provider.url.replace("127.0.0.1", "localhost")  # calls itself 127.0.0.1
    assert Client().get(START).status_code == 403
    assert Client().post("/accounts/login", {"username": "ada", "password": PASSWORD}).status_code == 200


def test_an_account_is_connected_by_its_owner(owner: User, client: Client, come_back: Callable[..., Any]) -> None:
    shown = come_back(client, "s-eve")
    assert (shown.status_code, b"eve &lt;x&gt;" in shown.content, owner.identities.count()) == (200, True, 0)
    client.post("/accounts/connect")
    assert owner.identities.get().subject == "s-eve"
    client.post("/accounts/connect")  # a second time there is nothing to connect
    assert owner.identities.count() == 1
    browser = Client()
    assert come_back(browser, "s-eve").status_code == 302
    assert browser.get("/accounts/").wsgi_request.user == owner
    other = Client()
    other.force_login(User.objects.create_user("bob", password=PASSWORD))
    come_back(other, "s-eve")
    other.post("/accounts/connect")
    assert Identity.objects.get().user == owner
    number = owner.identities.get().pk
    assert other.post(f"/accounts/disconnect/{number}").status_code == 404
    client.post(f"/accounts/disconnect/{number}")
    assert not Identity.objects.exists()


def test_an_account_without_a_password_keeps_tokens_sessions_and_its_way_in(
    come_back: Callable[..., Any], settings: Any, db: None
) -> None:
    settings.OIDC_NEW_ACCOUNTS = "open"
    browser = Client()
    come_back(browser, "s-eve")
    user = User.objects.get()
    token = Token.create(user)
    come_back(Client(), "s-eve")  # a log-in writes the account, which once ended every token of such an account
    user = User.objects.get()
    user.first_name = "Eve"
    user.save()
    assert (bool(Token.find(token)), browser.get("/films/").status_code) == (True, 200)
    browser.post(f"/accounts/disconnect/{user.identities.get().pk}")
    assert user.identities.count() == 1


def test_a_closed_account_and_a_second_step_hold_here_too(
    owner: User, come_back: Callable[..., Any], provider: Provider, settings: Any
) -> None:
    Identity.objects.create(user=owner, issuer=provider.url, subject="s-ada")
    settings.SECOND_FACTOR_REQUIRED = True  # of passwords: the provider asks for what it wants
    browser = Client()
    come_back(browser, "s-ada")
    assert browser.get("/films/").status_code == 200
    owner.totpdevice_set.create(name="app")
    assert come_back(Client(), "s-ada")["Location"] == "/accounts/code"
    owner.is_active = False
    owner.save()
    assert come_back(Client(), "s-ada").status_code == 403


def test_nobody_is_sent_elsewhere(owner: User, come_back: Callable[..., Any], provider: Provider) -> None:
    Identity.objects.create(user=owner, issuer=provider.url, subject="s-ada")
    assert come_back(Client(), "s-ada", f"{START}?next=https://evil.example/")["Location"] == "/"


def test_free_names(db: None) -> None:
    for name in ("ada", "ADA-2", "somebody"):
        User.objects.create_user(name, password=PASSWORD)
    names = [sign_on.free_name(wish) for wish in ("ada", "bob@hospital.example", "<>", "x" * 300)]
    assert names == ["ada-3", "bob@hospital.example", "somebody-2", "x" * 130]
