"""What an answer says, from the film's page to every list and file, before a reader whose answers are known."""

import csv
import io
import zipfile
from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest
from fake_reader import FakeReader, answer, listening, refusal
from pdf_pages import pdf_text
from playwright.sync_api import Browser, BrowserContext, Page, expect
from web_films import film_bytes

from osteolens.card import load_card
from osteolens.schema import percent

from .app import ROOT, App, log_in, send

pytestmark = pytest.mark.slow

CARD = load_card(ROOT / "weights" / "knee", check_weights=False)


def with_card(request: httpx.Request) -> httpx.Response:
    """An answer that names the card at hand, of a model that is shown to know something with age and sex alone."""
    facts = {
        name: request.headers[f"X-OsteoLens-{name}"]
        for name in ("age", "sex")
        if f"X-OsteoLens-{name}" in request.headers
    }
    body = answer("knee", request.content, facts, low=0.4)
    body["model"]["card_sha256"] = CARD.sha256
    return httpx.Response(200, json=body)


@pytest.fixture(scope="module")
def reader() -> FakeReader:
    return FakeReader(faults={"knee": with_card})


@pytest.fixture(scope="module")
def known(reader: FakeReader, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """A browser where the owner is logged in, before an app whose only model is `knee`."""
    with listening(reader) as port:
        server = SimpleNamespace(url=f"http://127.0.0.1:{port}", inference_key="key")
        with App(tmp_path_factory.mktemp("answers"), server, OSTEOLENS_MODELS="knee") as app:
            context = browser.new_context(base_url=app.url, service_workers="block")
            log_in(context.new_page())
            yield context
            context.close()


@pytest.fixture
def page(known: BrowserContext) -> Iterator[Page]:
    opened = known.new_page()
    yield opened
    opened.close()


def test_facts_that_are_added_lead_every_list_and_file_and_triage_says_what_was_measured(
    known: BrowserContext, page: Page, reader: FakeReader
) -> None:
    film = send(known, film_bytes(), "knee.png", note="fell twice")
    page.goto(film)
    expect(page.locator("#answer .headline")).to_have_text("No finding")
    page.fill("#ask_age", "63")
    page.select_option("#ask_sex", "female")
    page.get_by_role("button", name="Read with these").click()
    expect(page.locator("#answer .eyebrow")).to_have_text("Osteoporosis · with age and sex")
    expect(page.locator("#answer .headline")).to_contain_text("normal 90%")
    points = next(each.operating_points for each in CARD.fusion if each.inputs == ("age", "sex"))
    assert points
    without, ill = points.high_sensitivity.specificity, 1 - points.high_sensitivity.sensitivity
    page.get_by_text("Probabilities, output and origin").click()
    sentence = f"put {percent(without)} of those without osteoporosis here, and {percent(ill)} of those with it"
    expect(page.locator(".figures")).to_contain_text(sentence)
    for address in ("/", "/films/", "/films/?label=normal", "/films/?triage=low+suspicion"):
        page.goto(address)
        expect(page.get_by_text("normal with age and sex").first).to_be_visible()
    page.goto("/films/?label=osteopenia")
    expect(page.get_by_text("No film fits.")).to_be_visible()
    [row] = csv.DictReader(io.StringIO(known.request.get("/films/export.csv").text().lstrip("\ufeff")))
    assert (row["headline"], row["lead"], row["triage"]) == ("normal with age and sex", "fused", "low suspicion")
    report = " ".join(pdf_text(known.request.get(f"{film}report.pdf").body()).split())
    for words in ("fell twice", "Normal from the film with age and sex, 90%", sentence):
        assert words in report

    reader.faults["knee"] = refusal(503, "busy", "no room")
    page.goto(film)
    page.get_by_text("Patient, label and note").click()
    page.fill("[name=age]", "36")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#answer")).to_contain_text("Outdated: facts about the patient have changed")
    page.goto("/films/")
    expect(page.locator(".films .outdated")).to_be_visible()
    reader.faults["knee"] = with_card


def test_what_the_eye_sees_and_what_dxa_measured_are_two_facts(known: BrowserContext, page: Page) -> None:
    film = send(known, film_bytes(1), "dxa.png")
    page.goto(film.replace("/films/", "/reviews/"))
    page.locator("[name=seen_label]").select_option("normal")
    page.fill("[name=dxa_t_score]", "-2.7")
    page.locator("[name=verdict][value=wrong]").check(force=True)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("You reviewed this film on")).to_be_visible()
    [row] = csv.DictReader(io.StringIO(known.request.get("/reviews/export.csv").text().lstrip("\ufeff")))
    assert (row["seen_label"], row["dxa_t_score"]) == ("normal", "-2.7")
    with zipfile.ZipFile(io.BytesIO(known.request.get("/reviews/training.zip").body())) as archive:
        [film_row] = csv.DictReader(io.StringIO(archive.read("films.csv").decode("utf-8-sig")))
    assert film_row["label"] == "osteoporosis"


def test_a_film_that_was_kept_says_on_the_upload_page_that_it_is_answered(page: Page, reader: FakeReader) -> None:
    reader.faults["knee"] = refusal(503, "busy", "no room")
    page.goto("/")
    page.set_input_files("input[name=file]", [{"name": "k.png", "mimeType": "image/png", "buffer": film_bytes(2)}])
    row = page.locator(".upload-row")
    expect(row).to_contain_text("kept, and answered as soon as", ignore_case=True, timeout=20_000)
    reader.faults["knee"] = with_card
    expect(row).to_contain_text("answered: open it", ignore_case=True, timeout=60_000)
    expect(row).to_have_attribute("data-state", "done")
