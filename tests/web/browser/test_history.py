"""History, comparison, re-reading and deletion, and what others get to see: nothing."""

import re

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from .app import drawn, hill, send

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
    drawn(page)
    page.keyboard.press("+")
    first, second = page.locator(".layers").evaluate_all("all => all.map((one) => one.style.transform)")
    assert first == second
    assert page.locator("canvas.map").evaluate_all("all => all.map((one) => one.width)") == [213, 213]


def test_what_is_chosen_stays_and_a_deletion_is_undone(page: Page, films: list[str]) -> None:
    page.goto("/films/?q=ward")
    page.get_by_label("Select all on").check()
    page.get_by_label("Search").fill("h2.png")
    row = page.locator(".films tbody tr")
    expect(row.filter(has_text="h2.png")).not_to_have_count(0)
    row.filter(has_text="h2.png").first.get_by_role("checkbox").check()
    count = page.locator("[data-count]")
    expect(count).to_have_text("3 films selected on 2 pages")
    page.reload()
    expect(count).to_have_text("3 films selected on 2 pages")
    page.get_by_role("button", name="Select none").click()
    expect(count).to_be_hidden()
    # The column's header sorts by key, keeps the focus, and stands in the address.
    page.goto("/films/?q=ward")
    page.locator("#sort-name").press("Enter")
    expect(page.locator("[aria-sort=ascending]")).to_have_text("Film")
    expect(page).to_have_url(re.compile("sort=name"))
    expect(page.locator("#sort-name")).to_be_focused()
    page.get_by_label("Select all on").check()
    page.get_by_role("button", name="Delete").click()
    undo = page.locator(".undo")
    expect(undo).to_contain_text("2 films deleted.")
    assert page.context.request.get(films[0]).status == 404
    page.goto("/")  # a page that is left loses neither the deletion nor its undo
    page.goto("/films/?q=ward")
    expect(page.locator(".empty")).to_be_visible()
    undo.get_by_role("button").click()
    expect(page.locator(".messages")).to_contain_text("2 films are back.")
    assert page.goto(films[0]).status == 200  # type: ignore[union-attr]


def test_the_slider_parts_two_films_by_key_and_by_drag(page: Page, films: list[str]) -> None:
    first, second = (film.split("/")[2] for film in films[:2])
    page.goto(f"/compare?films={first}&films={second}")
    page.wait_for_load_state("networkidle")
    slider = page.get_by_label("Slide between the two films")
    expect(slider).to_be_hidden()
    drawn(page)
    page.keyboard.press("s")
    expect(slider).to_be_focused()
    boxes = page.locator(".pane").evaluate_all("all => all.map((one) => one.getBoundingClientRect().left)")
    assert boxes[0] == boxes[1]  # one over the other

    def seen() -> list[str]:
        """Which film is at the left and at the right of the middle."""
        at = "(x) => document.elementFromPoint(x, 300).closest('.pane')?.querySelector('img').src.split('/')[4]"
        width = page.viewport_size["width"]  # type: ignore[index]
        return [page.evaluate(f"({at})({width * share})") for share in (0.4, 0.6)]

    assert seen() == [first, second]
    for _ in range(15):
        page.keyboard.press("ArrowLeft")
    assert (slider.input_value(), seen()) == ("35", [second, second])
    box = page.locator("#stage").bounding_box()
    assert box
    across, down = 22 + 0.35 * (box["width"] - 44), box["y"] + box["height"] / 2
    page.mouse.move(across, down)
    page.mouse.down()
    page.mouse.move(0.9 * box["width"], down, steps=4)
    page.mouse.up()
    assert seen() == [first, first]
    page.keyboard.press("s")
    expect(slider).to_be_hidden()


def test_reading_again_keeps_the_earlier_answer(page: Page, films: list[str]) -> None:
    page.goto(films[2])
    expect(page.get_by_text("Earlier answers")).to_have_count(0)
    page.get_by_role("button", name="Read again").click()
    expect(page.get_by_text("Earlier answers")).to_be_visible(timeout=10_000)
    expect(page.locator(".answer[data-figures]:visible")).to_have_count(1)


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
