"""Every page in German: no English is left over on it, and every text of the app has a translation."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import messages
import pytest
from accounts.models import User
from all_pages import NO_PAGES, PAGES, addresses, names
from django.test import Client
from films.models import Film
from web_films import film_bytes

ENGLISH = set(
    re.findall(
        r"\w+",
        "the and of is are with you your yours this that these those from or to have has it its answer answers which "
        "their by on be for no films who what when where if as at were will can cannot may must than then there here "
        "only any each two other upload history worklist reviews staff search show save delete edit read unread "
        "account accounts password day date patients side sex age weight height label note",
    )
)
"""The commonest English words, and those of this app, that are no German ones."""
MADE_UP = re.compile("unlike the training films|Made-up films")
"""The fake reader's own words: a warning, and the name of a collection."""
SHOWN = ("aria-label", "title", "placeholder", "alt", "data-confirm")
FOREIGN = {"script", "style", "svg", "kbd", "code"}


class Words(HTMLParser):
    """Words that a person reads or hears on a page; what is marked as in another language, or as code, is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag in FOREIGN or ("lang" in values and values["lang"] != "de"):
            self.foreign.append(tag)
        for name in SHOWN:
            self.handle_data(values.get(name) or "")

    def handle_endtag(self, tag: str) -> None:
        if self.foreign and self.foreign[-1] == tag:
            self.foreign.pop()

    def handle_data(self, data: str) -> None:
        if not self.foreign:
            self.words += re.findall(r"(?<![\w./-])[a-z]+(?![\w./-]*\w)", data)


@pytest.fixture
def values(client: Client, send: Callable[..., Any], owner: User) -> dict[str, object]:
    """A film of a patient with facts, a colleague's note on it, and a shown answer."""
    owner.is_staff = owner.is_superuser = True
    owner.language = "de"
    owner.save()
    film_id = send(film_bytes(), patient="P-1", side="left", age="63", sex="female").json()["id"]
    send(film_bytes(1), patient="P-1", side="right")
    film = Film.objects.get(pk=film_id)
    return {"film_id": film_id, "patient_id": film.patient_id, "user_id": owner.pk}


def test_every_address_is_a_page_or_none() -> None:
    assert set(names()) == set(PAGES) | NO_PAGES


def test_no_english_is_left_on_a_german_page(client: Client, values: dict[str, object]) -> None:
    left = {}
    for name, address in addresses(values):
        browser = client
        if name == "accounts:login":
            browser = Client()
            browser.post("/language", {"language": "de"})
        response = browser.get(address)
        assert response.status_code == 200, address
        page = Words()
        page.feed(MADE_UP.sub("", response.content.decode()))
        left[name] = sorted(ENGLISH & set(page.words))
    left = {name: words for name, words in left.items() if words}
    assert left == {}, left


@pytest.mark.parametrize("domain", list(messages.DOMAINS))
@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_every_text_has_a_translation(language: str, domain: str) -> None:
    """Where it fails: python scripts/messages.py, and translate what it names in the .po file."""
    texts = {(each.id, each.context) for each in messages.template(domain) if each.id}
    catalog = messages.read(language, domain)
    assert {(each.id, each.context) for each in catalog if each.id} == texts
    assert [each.id for each in catalog if each.id and not messages.is_translated(each)] == []
