"""A language is chosen, a film answered in it, and pages are printed: what a person sees, and what programs get."""

import io
import re
import unicodedata
from datetime import UTC, datetime

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from .app import App, hill, png

pytestmark = pytest.mark.slow

PAPER_PIXELS = 694
"""A4 without its margins of 14 mm, at 96 pixels an inch: what a page has room for."""


@pytest.fixture
def german(app: App, browser: Browser, cookies: dict[str, object]) -> Page:
    """A page of somebody who chose German, and goes back to English after the test."""
    context = browser.new_context(base_url=app.url, storage_state=cookies, service_workers="block", locale="en-GB")
    page = context.new_page()
    page.goto("/")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("navigation", name="Seiten")).to_be_visible()
    yield page
    page.goto("/")
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en-gb")
    context.close()


def test_a_film_is_uploaded_and_answered_in_german(german: Page) -> None:
    page = german
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_text("Knieaufnahmen hier ablegen")).to_be_visible()
    pixels = np.rint(20 + 170 * hill(200, 220, 0.5, 0.5, 0.3)).astype(np.uint8)
    page.get_by_text("Angaben zur Person").click()
    page.get_by_label("Gewicht (kg)").fill("71.5")
    page.set_input_files("input[name=file]", {"name": "knie.png", "mimeType": "image/png", "buffer": png(pixels)})
    row = page.locator(".upload-row").first
    expect(row).to_have_attribute("data-state", "done", timeout=20000)
    row.get_by_role("link", name="knie.png").click()
    page.wait_for_url("**/films/*/")
    page.wait_for_load_state("networkidle")  # a script closes what was closed before
    film = page.url.removeprefix(page.evaluate("location.origin"))
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    text = page.inner_text("main")
    assert re.search(r"\d,\d", text)
    assert not re.search(r"(?<![\d.])\d\.\d\d+(?![\d.])", text)  # no decimal point in what a person reads
    assert "keine Aussage" in text or "Osteo" in text
    # Fields that a browser sends as numbers and days keep what programs read.
    assert page.locator("[name=weight_kg]").last.input_value() == "71.5"
    page.goto("/films/")
    assert f"{datetime.now(UTC):%d.%m.%Y}" in page.inner_text("main")
    table = page.context.request.get("/films/export.csv").text()
    assert "71.5" in table
    assert f"{datetime.now(UTC):%Y-%m-%d}" in table
    report = page.context.request.get(f"{film}report.pdf").body()
    words = " ".join(" ".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(report)).pages).split())
    assert "OsteoLens: eine Knieaufnahme" in words
    assert "Gewicht 71,5 kg" in words
    assert "Nur für die Forschung" in words


def test_pages_on_paper(app: App, browser: Browser, cookies: dict[str, object], film: str) -> None:
    """No navigation, nothing to press, film and map as wide as they should be, the evidence, black on white."""
    context = browser.new_context(
        base_url=app.url, storage_state=cookies, service_workers="block", color_scheme="dark",
        viewport={"width": PAPER_PIXELS, "height": 1000},
    )  # fmt: skip
    page = context.new_page()
    page.goto(film)
    patient = page.get_by_role("link", name="P-1", exact=True).get_attribute("href")
    evidence = page.locator(".evidence").first.text_content()
    for address in (film, str(patient), "/films/"):
        page.emulate_media(media="screen")
        page.goto(address)
        page.emulate_media(media="print", color_scheme="dark")
        for gone in (".top nav", ".tools", ".controls", ".languages", "main button", "dialog"):
            assert not any(each.is_visible() for each in page.locator(gone).all()), (address, gone)
        colours = page.evaluate(
            "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
        )
        assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
        assert page.evaluate("document.documentElement.scrollWidth") <= PAPER_PIXELS
    page.goto(film)
    for part in ("img.film", "canvas.map"):
        box = page.locator(part).first.bounding_box()
        assert box
        assert box["width"] > 0.75 * PAPER_PIXELS, part
        assert box["height"] == pytest.approx(box["width"], abs=2), part  # a square film
    expect(page.locator(".evidence").first).to_be_visible()
    printed = PdfReader(io.BytesIO(page.pdf(format="A4")))
    text = " ".join(sheet.extract_text() for sheet in printed.pages)
    words = " ".join(unicodedata.normalize("NFKC", text).split())  # ligatures are letters again
    assert " ".join(str(evidence).split())[:60] in words
    assert "Research use only" in words
    assert "Worklist" not in words
    context.close()
