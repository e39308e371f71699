"""Languages: which one a page is in, and catalogues that are complete, compiled and right."""

import re
from collections.abc import Iterator

import messages
import pytest
from accounts.models import User
from django.test import Client
from django.utils import formats, translation
from people import PASSWORD

HOLES = re.compile(r"%\(\w+\)[a-z]|%[sd]|\{\w+\}")


def language_of(client: Client, url: str = "/accounts/login", accept: str = "") -> str:
    page = client.get(url, headers={"Accept-Language": accept}, follow=True).content.decode()
    found = re.search(r'<html lang="([\w-]+)"', page)
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("accept", "language"),
    [("", "en-gb"), ("de-AT,de;q=0.9,en;q=0.5", "de"), ("en-US,en;q=0.9,de;q=0.1", "en-gb"), ("fr", "en-gb")],
)
def test_a_page_is_in_the_language_that_the_browser_asks_for(db: None, accept: str, language: str) -> None:
    assert language_of(Client(), accept=accept) == language


def test_a_choice_without_a_log_in_is_the_browsers(db: None) -> None:
    browser = Client()
    response = browser.post("/language", {"language": "de", "next": "/accounts/login?next=/films/"})
    assert (response.status_code, response["Location"]) == (303, "/accounts/login?next=/films/")
    assert language_of(browser, accept="en") == "de"
    assert language_of(Client(), accept="en") == "en-gb"


def test_a_choice_of_an_account_is_the_same_in_every_browser(client: Client, owner: User) -> None:
    client.post("/language", {"language": "de"})
    other = Client()
    assert language_of(other, accept="en") == "en-gb"
    assert other.post("/accounts/login", {"username": owner.username, "password": PASSWORD}).status_code == 302
    assert language_of(other, "/", accept="en") == "de"
    other.post("/language", {"language": "en-gb"})
    assert language_of(client, "/") == "en-gb"


@pytest.mark.parametrize("language", ["", "fr", "de\0", "../de", "DE " * 1000])
def test_an_unknown_language_changes_nothing(client: Client, owner: User, language: str) -> None:
    assert client.post("/language", {"language": language}).status_code == 303
    owner.refresh_from_db()
    assert owner.language == ""
    assert "django_language" not in client.cookies
    assert client.get(f"/texts/{language.replace('/', '')[:20]}.js").status_code == 404


def test_a_choice_leads_to_no_other_site(client: Client) -> None:
    response = client.post("/language", {"language": "de", "next": "https://evil.example/"})
    assert response["Location"] == "/"
    assert client.get("/language").status_code == 405


def test_programs_get_english(client: Client) -> None:
    client.post("/language", {"language": "de"})
    response = client.get("/api/films", headers={"Accept-Language": "de"})
    assert response["Content-Language"] == "en-gb"


def test_scripts_get_their_texts(client: Client) -> None:
    for language in ("en-gb", "de"):
        response = client.get(f"/texts/{language}.js")
        assert (response.status_code, response["Content-Type"]) == (200, "text/javascript; charset=utf-8")
        assert "django.gettext = function" in response.content.decode()
        assert client.get(f"/texts/{language}.js", headers={"If-None-Match": response["ETag"]}).status_code == 304


def test_the_worker_of_another_language_keeps_pages_of_its_own(db: None) -> None:
    english, german = (
        Client().get("/sw.js", headers={"Accept-Language": code}).content.decode() for code in ("en", "de")
    )
    assert "-en-gb" in english
    assert "/texts/en-gb.js" in english
    assert "-de" in german
    assert "/texts/de.js" in german


@pytest.fixture
def german() -> Iterator[None]:
    with translation.override("de"):
        yield


@pytest.mark.usefixtures("german")
def test_numbers_and_days_in_german() -> None:
    from datetime import datetime

    assert formats.localize(12.3) == "12,3"
    assert formats.date_format(datetime(2026, 11, 26, 9, 5), "SHORT_DATETIME_FORMAT") == "26.11.2026, 09:05"
    assert formats.date_format(datetime(2026, 11, 26), "SHORT_DATE_FORMAT") == "26.11.2026"


def test_numbers_and_days_in_english() -> None:
    from datetime import datetime

    with translation.override("en-gb"):
        assert formats.localize(12.3) == "12.3"
        assert formats.date_format(datetime(2026, 11, 6, 9, 5), "SHORT_DATETIME_FORMAT") == "6 Nov 2026, 09:05"


@pytest.mark.parametrize("domain", list(messages.DOMAINS))
@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_translations_have_the_same_holes_and_are_compiled(language: str, domain: str) -> None:
    catalog = messages.read(language, domain)
    for message in catalog:
        if not message.id or not messages.is_translated(message):
            continue
        texts = [message.id] if isinstance(message.id, str) else list(message.id)
        translations = [message.string] if isinstance(message.string, str) else list(message.string)
        # A singular may leave the number out.
        assert set(HOLES.findall(translations[-1])) == set(HOLES.findall(texts[-1])), message.id
        assert set(HOLES.findall(translations[0])) <= set(HOLES.findall(texts[-1])), message.id
        assert not message.fuzzy, message.id
    compiled = messages.catalogue_file(language, domain).with_suffix(".mo").read_bytes()
    assert compiled == messages.compiled(catalog), "run python scripts/messages.py"


def test_the_numbers_are_explained_to_everybody(db: None) -> None:
    for language, heading in (("en", "What the numbers mean"), ("de", "Was die Zahlen bedeuten")):
        page = Client().get("/help", headers={"Accept-Language": language}).content.decode()
        assert f"<h1>{heading}</h1>" in page
        for name in (
            "probability",
            "interval",
            "evidence",
            "t-score",
            "triage",
            "unfamiliarity",
            "heat-map",
            "knees",
        ):
            assert f'<section id="{name}">' in page
        for picture in re.findall(r'src="/static/(help/[\w-]+\.svg)"', page):
            assert (messages.WEB / "static" / picture).is_file()
