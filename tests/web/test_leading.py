"""Every surface leads with what the model was shown to know, by one summary of the answer."""

import csv
import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.test import Client
from fake_reader import FakeReader, answer
from films import wording
from films.models import Film
from pdf_pages import pdf_text
from web_films import film_bytes

from osteolens.parameters import OperatingPoint, OperatingPoints

Send = Callable[..., Any]
FACTS = {"age": "63", "sex": "female"}
NO_FINDING = "No finding From the film alone, this model has not been shown to tell more than chance"


@pytest.fixture
def unshown(send: Send, reader: FakeReader) -> Film:
    """A film without facts, answered by models that are not shown to beat chance from the film alone."""
    reader.low = 0.4
    return Film.objects.get(pk=send(film_bytes()).json()["id"])


@pytest.fixture
def fused(send: Send, reader: FakeReader) -> Film:
    """A film with age and sex, answered by the same models."""
    reader.low = 0.4
    return Film.objects.get(pk=send(film_bytes(1), note="fell twice", **FACTS).json()["id"])


def rows(client: Client) -> list[dict[str, str]]:
    text = client.get("/films/export.csv").getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def drained(response: Any) -> str:
    return str(response.content.decode())


def test_lists_lead_with_no_finding(client: Client, unshown: Film) -> None:
    for url in ("/films/", "/"):
        page = drained(client.get(url))
        assert "no finding" in page
        assert "osteopenia" not in page.split("<main")[1].replace('value="osteopenia"', ""), url
    assert list(client.get("/films/?label=no+finding").context["page"].object_list) == [unshown]
    assert not client.get("/films/?label=osteopenia").context["page"].object_list
    [row] = rows(client)
    assert [row[name] for name in ("headline", "lead", "label", "probability", "t_score", "triage", "output")] == [
        "no finding", "none", "no finding", "", "", "", "osteopenia",
    ]  # fmt: skip


def test_lists_lead_with_the_fused_answer(client: Client, fused: Film) -> None:
    for url in ("/films/", "/"):
        assert "normal with age and sex" in drained(client.get(url))
    for query in ("label=normal", "triage=low+suspicion"):
        assert list(client.get(f"/films/?{query}").context["page"].object_list) == [fused]
    [row] = rows(client)
    assert [row[name] for name in ("headline", "lead", "label", "probability", "triage", "output")] == [
        "normal with age and sex", "fused", "normal", "0.9", "low suspicion", "osteopenia",
    ]  # fmt: skip


def test_the_reply_to_an_upload_leads_likewise(send: Send, reader: FakeReader) -> None:
    reader.low = 0.4
    assert send(film_bytes(2)).json()["headline"] == "no finding"
    assert send(film_bytes(3), **FACTS).json()["headline"] == "normal with age and sex"


def test_the_films_page_says_why_and_shows_the_label_as_output(client: Client, unshown: Film) -> None:
    page = drained(client.get(f"/films/{unshown.id}/"))
    first, below = page.split('<p class="evidence">', 1)
    assert "No finding" in first
    assert "osteopenia" not in first.split('aria-label="Answer of knee"')[1]
    assert "not been shown to tell more than chance: AUROC 0.50 (0.40 to 0.60; guessing is 0.50)" in below
    assert "Output of the model, film alone" in below


def test_facts_that_are_missing_are_asked_for_and_the_film_is_read_again_at_once(
    client: Client, unshown: Film, reader: FakeReader
) -> None:
    form = client.get(f"/films/{unshown.id}/").context["ask_form"]
    assert list(form.fields) == ["age", "sex"]
    Film.objects.filter(pk=unshown.pk).update(note="kept", label_text="left")
    assert client.post(f"/films/{unshown.id}/facts", {"age": "200", "sex": "female"}).status_code == 400
    assert client.post(f"/films/{unshown.id}/facts", FACTS).status_code == 302
    unshown.refresh_from_db()
    assert (unshown.age, unshown.sex, unshown.note, unshown.label_text) == (63, "female", "kept", "left")
    assert (unshown.headline, unshown.outdated) == ("normal with age and sex", False)
    context = client.get(f"/films/{unshown.id}/").context
    assert [part.leads for part in context["main"].parts] == [True, False]
    assert context["ask_form"] is None


def test_the_upload_page_asks_for_age_and_sex_first_and_says_why(client: Client) -> None:
    page = drained(client.get("/"))
    assert page.index('name="age"') < page.index('name="sex"') < page.index('id="drop"') < page.index('name="note"')
    assert (page.count('name="age"'), page.count('name="note"')) == (1, 1)
    assert "With age and sex there is an answer that counts" in page


def test_the_upload_page_asks_for_nothing_where_no_card_says_that_it_helps(client: Client, settings: Any) -> None:
    settings.MODELS = ["unknown"]
    page = drained(client.get("/"))
    assert "answer that counts" not in page
    assert page.count('name="age"') == 1


def test_nobody_else_adds_facts(stranger: Client, unshown: Film) -> None:
    assert stranger.post(f"/films/{unshown.id}/facts", FACTS).status_code == 404


def test_nothing_is_asked_for_where_the_film_alone_leads(client: Client, film: Film) -> None:
    context = client.get(f"/films/{film.id}/").context
    assert (context["ask_form"], context["main"].lead.headline) == (None, "osteopenia")


def grades_osteoarthritis(request: httpx.Request) -> httpx.Response:
    """A model whose labels do not say what they grade."""
    model = request.url.path.rpartition("/")[2]
    body = answer(model, request.content, {})
    body |= {"label": "2", "probabilities": {"1": 0.1, "2": 0.7, "3": 0.2}, "t_score": None, "triage": None}
    body["fold_spread"] = None
    body["explanations"] = [each | {"target": str(n)} for n, each in enumerate(body["explanations"], 1)]
    body["evidence"] |= {"border": "2", "condition": "osteoarthritis"}
    return httpx.Response(200, json=body)


@pytest.mark.parametrize(
    ("language", "headline", "source", "sentence"),
    [
        ("en", "osteoarthritis: 2", "Osteoarthritis · film alone",
         "The model grades osteoarthritis: 1, 2 or 3. From 2 on, a knee counts as ill."),
        ("de", "Arthrose: 2", "Arthrose · Aufnahme allein",
         "Das Modell stuft Arthrose ein: 1, 2 oder 3. Ab 2 gilt ein Knie als krank."),
    ],
)  # fmt: skip
def test_every_surface_says_what_grades_grade(
    client: Client, send: Send, reader: FakeReader, language: str, headline: str, source: str, sentence: str
) -> None:
    reader.faults["all"] = grades_osteoarthritis
    film = Film.objects.get(pk=send(film_bytes(5)).json()["id"])
    client.cookies["django_language"] = language
    page, history = (drained(client.get(url)) for url in (f"/films/{film.id}/", "/films/"))
    text = " ".join(pdf_text(client.get(f"/films/{film.id}/report.pdf").content).split())
    assert f'<p class="eyebrow">{source}</p>' in page
    assert f'<p class="hint">{sentence}</p>' in page
    assert headline in history
    assert headline.capitalize() in text
    assert sentence in text


def test_the_history_says_what_a_model_without_a_finding_grades(client: Client, unshown: Film) -> None:
    assert "knee 1.0 osteoporosis</td>" in drained(client.get("/films/"))
    assert '<p class="eyebrow">Osteoporosis · knee</p>' in drained(client.get(f"/films/{unshown.id}/"))


def test_compare_and_report_lead_likewise(client: Client, unshown: Film, fused: Film) -> None:
    page = drained(client.get(f"/compare?films={unshown.id}&films={fused.id}"))
    assert page.index("No finding") < page.index("Output of the model, film alone")
    assert "Osteoporosis · with age and sex" in page
    report = pdf_text(client.get(f"/films/{unshown.id}/report.pdf").content)
    assert report.index(NO_FINDING) < report.index("Output of the model, film alone: osteopenia")
    report = pdf_text(client.get(f"/films/{fused.id}/report.pdf").content)
    assert "Normal from the film with age and sex, 90%" in report
    assert "With age and sex: normal, low suspicion" in report
    assert "Note: fell twice" in report


def test_names_of_europe_come_out_right_in_the_report(client: Client, film: Film) -> None:
    names = "M\u00fcller, \u0395\u03bb\u03ad\u03bd\u03b7, \u0418\u0432\u0430\u043d\u043e\u0432\u0430"
    Film.objects.filter(pk=film.pk).update(note=names, label_text="\u0391-7")
    report = pdf_text(client.get(f"/films/{film.id}/report.pdf").content)
    assert f"Note: {names}" in report
    assert "Film: \u0391-7 (" in report
    assert "Boxes" not in report


def test_characters_that_the_reports_font_lacks_are_boxes_and_named(client: Client, film: Film) -> None:
    Film.objects.filter(pk=film.pk).update(note="\N{BONE}\N{VARIATION SELECTOR-16} \u9aa8 \xb5m")
    report = pdf_text(client.get(f"/films/{film.id}/report.pdf").content)
    assert "Boxes stand for characters that this page's font lacks: U+9AA8, U+1F9B4." in report
    assert "?" not in report


def test_an_answer_from_facts_that_have_changed_is_outdated_at_once(
    client: Client, fused: Film, reader: FakeReader
) -> None:
    assert not fused.outdated
    reader.go_away()
    client.post(f"/films/{fused.id}/edit", {"age": "64", "sex": "female"})
    fused.refresh_from_db()
    assert (fused.age, fused.outdated) == (64, True)
    assert str(wording.OUTDATED) in drained(client.get(f"/films/{fused.id}/"))
    assert str(wording.OUTDATED) in drained(client.get(f"/compare?films={fused.id}&films={fused.id}"))
    assert str(wording.OUTDATED) in pdf_text(client.get(f"/films/{fused.id}/report.pdf").content)
    for url in ("/films/", "/"):
        assert ">outdated<" in drained(client.get(url))
    assert [row["outdated"] for row in rows(client)] == ["True"]
    reader.come_back()
    client.post(f"/films/{fused.id}/edit", {"age": "63", "sex": "female"})  # as it was
    fused.refresh_from_db()
    assert not fused.outdated


def test_an_early_answer_gets_its_evidence_from_the_card_at_hand(
    client: Client, send: Send, reader: FakeReader, settings: Any
) -> None:
    reader.low = None
    film = Film.objects.get(pk=send(film_bytes(4)).json()["id"])
    assert film.headline == "no finding"
    assert "came without evidence" in drained(client.get(f"/films/{film.id}/"))
    from films.cards import _load

    card = _load("knee")
    assert card is not None
    reading = film.readings.get(model="knee")
    reading.answer["model"]["card_sha256"] = reading.card_sha256 = card.sha256
    reading.save()
    lead = client.get(f"/films/{film.id}/").context["main"].lead
    assert "AUROC 0.54" in lead.text


def points(low: float = 0.15, high: float = 0.44) -> OperatingPoints:
    return OperatingPoints(
        label="osteoporosis",
        high_sensitivity=OperatingPoint(threshold=low, sensitivity=0.91, specificity=0.63),
        high_specificity=OperatingPoint(threshold=high, sensitivity=0.03, specificity=0.9),
    )


def test_what_triage_says_is_what_was_measured() -> None:
    assert wording.triage("refer", points(), ("age", "sex")) == (
        "Refer: the probability of osteoporosis is 44% or more. On films the model had not seen, the film with age and "
        "sex put 3% of those with osteoporosis here, and 10% of those without it."
    )
    assert wording.triage("low suspicion", points()) == (
        "Low suspicion: the probability of osteoporosis is below 15%. On films the model had not seen, the film alone "
        "put 63% of those without osteoporosis here, and 9% of those with it. It rules nothing out."
    )
    assert wording.triage("uncertain", points()) == (
        "Uncertain: the probability of osteoporosis is between 15% and 44%, which places this film on neither side."
    )
    assert wording.triage("", points()) == ""
    assert "card" in wording.triage("refer", None)
    assert "few films" not in wording.triage("refer", points())
