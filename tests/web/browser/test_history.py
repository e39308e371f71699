"""History, comparison, re-reading and deletion, and what others get to see: nothing."""

import re

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from .app import hill, send

pytestmark = pytest.mark.slow


@pytest.fixture
def films(context: BrowserContext) -> list[str]:
    """Three films; the first two are labelled."""
    labels = ("ward seven left", "ward seven right", "")
    pixels = [np.rint(20 + 200 * hill(180, 150, 0.2 + n / 10, 0.3, 0.2)).astype(np.uint8) for n in range(3)]
    return [send(context, picture, f"h{n}.png", label_text=labels[n]) for n, picture in enumerate(pixels)]


def test_search_narrows_the_list_without_a_new_page(page: Page, films: list[str]) -> None:
    page.goto("/films/")
    page.evaluate("window.same = true")
    page.get_by_label("Search").press_sequentially("ward seven")
    rows = page.locator(".films tbody tr")
    expect(rows).to_have_count(2)
    expect(page).to_have_url(re.compile("q=ward"))
    assert page.evaluate("window.same")
    page.get_by_label("Search").fill("no such film")
    expect(page.locator(".empty")).to_contain_text("No film fits")


def test_two_selected_films_are_compared_and_zoom_together(page: Page, films: list[str]) -> None:
    page.goto("/films/?q=ward")
    compare = page.get_by_role("button", name="Compare")
    expect(compare).to_be_hidden()
    page.get_by_label("Select ward seven left").check()
    expect(compare).to_be_disabled()
    page.get_by_label("Select ward seven right").check()
    compare.click()
    expect(page.locator(".pane")).to_have_count(2)
    page.wait_for_load_state("networkidle")
    page.keyboard.press("+")
    first, second = page.locator(".layers").evaluate_all("all => all.map((one) => one.style.transform)")
    assert first == second
    assert page.locator("canvas.map").evaluate_all("all => all.map((one) => one.width)") == [213, 213]


def test_selected_films_are_deleted_after_a_question(page: Page, films: list[str]) -> None:
    page.goto("/films/?q=ward")
    page.get_by_label("Select all").check()
    expect(page.locator("[data-count]")).to_have_text("2 films selected")
    questions: list[str] = []
    page.once("dialog", lambda dialog: (questions.append(dialog.message), dialog.dismiss()))
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".films tbody tr")).to_have_count(2)
    assert "can't be undone" in questions[0]
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".messages")).to_be_visible()
    expect(page.locator(".empty")).to_be_visible()
    assert page.goto(films[0]).status == 404  # type: ignore[union-attr]
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing here")


def test_reading_again_keeps_the_earlier_answer(page: Page, films: list[str]) -> None:
    page.goto(films[2])
    expect(page.get_by_text("Earlier answers")).to_have_count(0)
    page.get_by_role("button", name="Read again").click()
    expect(page.get_by_text("Earlier answers")).to_be_visible(timeout=10_000)
    expect(page.locator("[data-figures]:visible")).to_have_count(1)


def test_facts_added_later_are_kept(page: Page, films: list[str]) -> None:
    page.goto(films[2])
    page.get_by_text("Patient, label and note").click()
    page.get_by_label("Label").fill("<b>named</b>")
    page.get_by_label("Age (years)").fill("64")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>named</b>")
    page.get_by_text("Patient, label and note").click()
    expect(page.get_by_label("Age (years)")).to_have_value(re.compile(r"64(\.0)?"))


def test_another_persons_film_is_not_there(stranger: Page, films: list[str]) -> None:
    for address in (films[0], f"{films[0]}picture.png", f"{films[0]}report.pdf"):
        answer = stranger.context.request.get(address)
        assert answer.status == 404
    stranger.goto("/films/")
    expect(stranger.locator(".empty")).to_contain_text("No films yet")
