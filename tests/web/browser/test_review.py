"""A review in a real browser: blind until it is given, and the region is what was drawn."""

import io
import json

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect
from support.dicom import dataset, save

from .app import drawn, greys, hill, png, send

pytestmark = pytest.mark.slow

SIDE = 256
ROWS, COLUMNS = (np.indices((SIDE, SIDE)) + 0.5) / SIDE


def open_review(page: Page, colleague: BrowserContext, row: float) -> str:
    """Open the review of a new film that a colleague opened for review; the address."""
    pixels = np.rint(30 + 170 * hill(SIDE, SIDE, row, 0.5, 0.3)).astype(np.uint8)
    film = send(colleague, pixels, "review.png")
    token = colleague.request.get("/session").json()["csrf"]
    form = {"open_for_review": "on", "csrfmiddlewaretoken": token}
    assert colleague.request.post(f"{film}edit", form=form).ok
    address = film.replace("/films/", "/reviews/")
    page.goto(address)
    expect(page.locator("canvas.region")).to_be_attached()
    return address


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the film (shares) is on the screen."""
    box = page.locator("img.film").bounding_box()
    assert box
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page: Page, *places: tuple[float, float]) -> None:
    page.mouse.move(*at(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*at(page, *place), steps=5)
    page.mouse.up()


def stored_region(page: Page, context: BrowserContext) -> NDArray[np.bool_]:
    url = json.loads(page.locator("#region-data").inner_text())["url"]
    answer = context.request.get(url)
    assert answer.ok
    with Image.open(io.BytesIO(answer.body())) as image:
        return np.asarray(image.convert("1"))


def stroke(row: float, left: float, right: float, size: float) -> NDArray[np.bool_]:
    """A level stroke of a round brush."""
    beyond = np.maximum(np.maximum(left - COLUMNS, COLUMNS - right), 0)
    return np.hypot(ROWS - row, beyond) < size / 2


def check(drawn: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> None:
    assert drawn.shape == wanted.shape
    assert (drawn & wanted).sum() / (drawn | wanted).sum() > 0.96


def test_blind_until_given_and_the_region_is_what_was_drawn(
    page: Page, context: BrowserContext, stranger: Page
) -> None:
    maps: list[str] = []
    page.on("request", lambda request: maps.append(request.url) if "/maps/" in request.url else None)
    open_review(page, stranger.context, 0.41)
    page.wait_for_load_state("networkidle")
    assert json.loads(page.locator("#viewer-data").inner_text())["models"] == []
    assert page.locator(".bars, .triage, [name=verdict], [name=map_rating], .figures").count() == 0
    assert not maps

    page.locator("[name=tool][value=brush]").check(force=True)
    page.locator("#brush-size").fill("10")
    drag(page, (0.2, 0.3), (0.8, 0.3))
    drag(page, (0.1, 0.9), (0.5, 0.9))
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Redo").click()
    page.get_by_role("button", name="Undo").click()
    page.locator("[name=tool][value=polygon]").check(force=True)
    for place in ((0.2, 0.5), (0.7, 0.5), (0.7, 0.8), (0.2, 0.8)):
        page.mouse.click(*at(page, *place))
    page.mouse.click(*at(page, 0.2, 0.5))  # the first corner again closes it
    page.locator("[name=tool][value=eraser]").check(force=True)
    drag(page, (0.4, 0.65), (0.6, 0.65))
    page.locator("[name=seen_label][value=normal]").check(force=True)
    page.get_by_role("button", name="Save and show the answer").click()

    expect(page.locator(".figures .headline")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert maps
    square = (COLUMNS > 0.2) & (COLUMNS < 0.7) & (ROWS > 0.5) & (ROWS < 0.8)
    wanted = (stroke(0.3, 0.2, 0.8, 0.1) | square) & ~stroke(0.65, 0.4, 0.6, 0.1)
    check(stored_region(page, context), wanted)
    expect(page.locator("[name=verdict]:checked")).to_have_count(1)
    page.locator("[name=map_rating][value=partly]").check(force=True)
    page.get_by_role("button", name="Save", exact=True).click()
    check(stored_region(page, context), wanted)
    expect(page.locator("[name=map_rating]:checked")).to_have_value("partly")
    expect(page.get_by_text("You reviewed this film on")).to_contain_text("blind")

    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_load_state("networkidle")
    assert json.loads(page.locator("#region-data").inner_text())["url"] is None


def test_a_region_can_be_drawn_by_keys_alone(page: Page, context: BrowserContext, stranger: Page) -> None:
    open_review(page, stranger.context, 0.43)
    keys = page.keyboard  # the viewer has the focus from the start; the cross starts in the middle
    for key in ["b", "Space", *["ArrowRight"] * 10, "Space"]:
        keys.press(key)
    for key in ["p", *["ArrowDown"] * 5, "Space", *["ArrowDown"] * 10, "Space", *["ArrowLeft"] * 20, "Space", "x"]:
        keys.press(key)
    keys.press("Space")
    keys.press("Backspace")  # the fourth corner is taken back
    keys.press("Enter")
    page.locator("[name=seen_label][value=normal]").focus()
    keys.press("Space")
    page.get_by_role("button", name="Save and show the answer").press("Enter")
    expect(page.locator(".figures .headline")).to_be_visible()
    # Corners at (0.7, 0.6), (0.7, 0.8) and (0.3, 0.8).
    triangle = (COLUMNS < 0.7) & (ROWS < 0.8) & ((0.7 - COLUMNS) / 0.4 + (0.8 - ROWS) / 0.2 < 1)
    check(stored_region(page, context), stroke(0.5, 0.5, 0.7, 0.05) | triangle)


def test_the_upload_s_own_reply_makes_the_review_an_open_one(page: Page) -> None:
    pixels = np.rint(30 + 170 * hill(SIDE, SIDE, 0.47, 0.5, 0.3)).astype(np.uint8)
    page.goto("/")
    page.set_input_files("input[name=file]", [{"name": "own.png", "mimeType": "image/png", "buffer": png(pixels)}])
    done = page.locator(".upload-row[data-state=done]", has_text="own.png")
    address = done.get_by_role("link").get_attribute("href")
    assert address
    page.goto(address.replace("/films/", "/reviews/"))
    expect(page.locator(".info")).to_contain_text("Open. You have been shown the answer")
    expect(page.locator(".figures .headline")).to_be_visible()
    page.locator("[name=verdict][value=unsure]").check(force=True)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("You reviewed this film on")).to_contain_text("with the answer in view")


def test_a_history_that_was_looked_at_ends_a_blind_review(page: Page, stranger: Page) -> None:
    """A colleague's list is theirs alone: it leaves the review of somebody else blind."""
    address = open_review(page, stranger.context, 0.49)
    stranger.goto("/films/")
    expect(stranger.locator(".films tbody tr").first).to_contain_text("review.png")
    page.reload()
    expect(page.locator(".info.blind")).to_be_visible()
    stranger.goto(address)
    expect(stranger.locator(".info.open")).to_be_visible()


def test_what_was_not_saved_is_there_again(page: Page, context: BrowserContext, stranger: Page) -> None:
    address = open_review(page, stranger.context, 0.47)
    page.locator("[name=tool][value=brush]").check(force=True)
    page.locator("#brush-size").fill("10")
    drag(page, (0.2, 0.3), (0.8, 0.3))
    page.fill("[name=remark]", "thin cortex")
    page.goto("/films/")
    page.goto(address)
    expect(page.locator("#kept")).to_contain_text("not saved")
    expect(page.locator("[name=remark]")).to_have_value("thin cortex")
    expect(page.locator("[data-region-words]")).to_have_text("drawn")
    page.locator("[name=seen_label][value=normal]").check(force=True)
    page.get_by_role("button", name="Save and show the answer").click()
    expect(page.locator(".figures .headline")).to_be_visible()
    check(stored_region(page, context), stroke(0.3, 0.2, 0.8, 0.1))
    expect(page.locator("#kept")).to_be_hidden()

    page.fill("[name=remark]", "something else")
    page.reload()
    expect(page.locator("[name=remark]")).to_have_value("something else")
    page.get_by_role("button", name="Discard it").click()
    expect(page.locator("[name=remark]")).to_have_value("thin cortex")


def test_a_deep_film_is_windowed_in_a_review_too(page: Page, context: BrowserContext) -> None:
    """Greys as on the film's own page, from the values 1100 and 1600."""
    pixels = np.tile(100 + 10 * np.arange(300), (180, 1)).astype(np.uint16)
    film = send(context, save(dataset(pixels, 12, WindowCenter=1000, WindowWidth=400)), "deep-review.dcm")
    page.goto(film.replace("/films/", "/reviews/"))
    drawn(page)
    page.get_by_role("button", name="Brightness and contrast").click()
    expect(page.locator("#preset option").first).to_have_text("header", timeout=20_000)
    page.locator("#width").fill("1001")
    page.locator("#centre").fill("1600")
    page.locator("#centre").press("Tab")
    expect(page.locator("canvas.deep")).to_be_visible()
    assert greys(page, 100, 150) == [0, 128]
