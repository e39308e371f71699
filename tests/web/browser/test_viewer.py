"""The film's page in a real browser: what is on the screen is what film, map and table say."""

import json
import re

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Route, expect

from .app import fetched, hill, png, send, shot

pytestmark = pytest.mark.slow


def open_film(page: Page, film: str) -> dict:
    """Open a film's page, wait for film and map, and return the viewer's data."""
    page.goto(film)
    page.wait_for_function("document.querySelector('canvas.map').width !== 300")  # a canvas that was never drawn on
    assert page.evaluate("document.querySelector('img.film').complete")
    return json.loads(page.locator("#viewer-data").inner_text())


def map_of(data: dict, label: str, model: int = 0) -> str:
    [url] = [shown["map"]["url"] for shown in data["models"][model]["classes"] if shown["label"] == label]
    return str(url)


def alphas(page: Page) -> list[int]:
    """Opacity of each pixel of the canvas that the map is drawn on, row by row, 0 to 255."""
    levels: list[int] = page.evaluate(
        """() => {
          const canvas = document.querySelector("canvas.map");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return [...data].filter((_, i) => i % 4 === 3);
        }"""
    )
    return levels


def at_scale(page: Page, scale: int, side: int) -> None:
    """Choose the window's height so that a film of this side is shown at a whole scale."""
    height = page.evaluate("document.querySelector('.pane').clientHeight")
    size = page.viewport_size
    assert size
    page.set_viewport_size({"width": size["width"], "height": size["height"] - height + scale * side})
    page.wait_for_timeout(100)
    assert page.evaluate("document.querySelector('.pane').clientHeight") == scale * side


def enlarged(pixels: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """[h, w] or [h, w, 3], bilinear, to a square."""
    if pixels.ndim == 3:
        return np.dstack([enlarged(pixels[..., channel], side) for channel in range(3)])
    picture = Image.fromarray(pixels.astype(np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR), np.float64)


def composed(film: NDArray[np.uint8], levels: NDArray[np.uint8], table: NDArray[np.int64], opacity: float) -> NDArray:
    """Film under map on 512 x 512: colour from the table, alpha = level / 255 x opacity, then enlarged."""
    alpha = levels / 255
    above = enlarged(table[levels] * alpha[..., None], 512)
    return enlarged(film, 512)[..., None] * (1 - enlarged(alpha, 512)[..., None] * opacity) + above * opacity


@pytest.mark.parametrize("percent", [0, 35, 100])
def test_the_slider_composes_film_map_and_table_as_computed(
    page: Page, context: BrowserContext, film: str, percent: int
) -> None:
    data = open_film(page, film)
    at_scale(page, 2, 256)
    page.locator("#opacity").fill(str(percent))
    table = np.array(data["colourMaps"]["inferno"])
    levels = fetched(context, map_of(data, data["models"][0]["label"]))
    film_pixels = fetched(context, data["film"]["url"])
    wanted = composed(film_pixels, levels, table, percent / 100)
    seen = shot(page, ".pane")
    left = (seen.shape[1] - 512) // 2
    seen = seen[:, left : left + 512]
    free = np.s_[16:440, 16:-16]  # the caption lies below
    assert np.abs(seen - wanted)[free].max() < 4
    if percent:
        assert np.abs(wanted - enlarged(film_pixels, 512)[..., None])[free].max() > 30


def test_the_map_lies_in_register_at_every_zoom_and_place(page: Page, context: BrowserContext) -> None:
    row, column = 0.3, 0.7
    film = send(context, np.rint(20 + 200 * hill(500, 300, row, column, 0.02)).astype(np.uint8), "spot.png")
    spot = np.rint(255 * hill(256, 154, row, column, 0.02)).astype(np.uint8)

    def known_map(route: Route) -> None:
        route.fulfill(body=png(spot), content_type="image/png")

    page.route(re.compile(r"/maps/"), known_map)
    open_film(page, film)
    page.locator("#colours").select_option("grey")
    page.locator("#opacity").fill("100")
    for move in ("none", "zoom", "pan"):
        if move == "zoom":
            box = page.locator(".pane").bounding_box()
            assert box
            page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.35)
            page.mouse.wheel(0, -500)
        if move == "pan":
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5, steps=3)
            page.mouse.up()
        page.locator("#map-on").uncheck()
        bare = shot(page, ".pane")[60:-60, 80:-80, 0]
        page.locator("#map-on").check()
        change = np.abs(shot(page, ".pane")[60:-60, 80:-80, 0] - bare)
        assert change.max() > 20
        assert np.abs(centre(change) - centre(np.clip(bare - 40, 0, None))).max() < 1.5


def centre(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = np.indices(weights.shape)
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum()


def test_class_and_model_change_without_a_request(page: Page, context: BrowserContext, film: str) -> None:
    data = open_film(page, film)
    page.wait_for_load_state("networkidle")  # the maps of all classes and models come while the film is looked at
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    caption = page.locator(".pane .caption")
    for index, label in enumerate(("normal", "osteopenia", "osteoporosis")):
        page.keyboard.press(str(index + 1))
        expect(caption).to_have_text(re.compile(f"efficientnet 1.0 · .*{label}"))
        assert not requests
        assert alphas(page) == fetched(context, map_of(data, label)).ravel().tolist()
    page.get_by_role("radio", name="second").check(force=True)
    assert page.locator("[data-figures]:visible").get_attribute("data-figures") == "second"
    page.keyboard.press("s")
    expect(page.locator(".pane:visible")).to_have_count(2)
    assert not requests


def test_a_model_of_other_labels_brings_its_own_buttons_and_its_own_map(page: Page, film: str) -> None:
    """The second model answers 0, 1 or 2 instead, as a model of grades does; its answer is 2."""

    def regrade(route: Route) -> None:
        answer = route.fetch()
        [block] = re.findall(r'<script id="viewer-data" type="application/json">(.*?)</script>', answer.text())
        data = json.loads(block)
        for grade, shown in enumerate(data["models"][1]["classes"]):
            shown["label"] = str(grade)
        data["models"][1]["label"] = "2"
        button = '<label><input type="radio" name="label" value="{0}"><span>{0}</span></label>'
        last = button.format("osteoporosis")
        more = last + "".join(button.format(grade) for grade in range(3))
        route.fulfill(response=answer, body=answer.text().replace(block, json.dumps(data)).replace(last, more))

    page.route(re.compile(f"{film}$"), regrade)
    open_film(page, film)
    visible, caption = page.locator("[name=label]:visible"), page.locator(".pane .caption").first
    values = "all => all.map(one => one.value)"
    assert visible.evaluate_all(values) == ["normal", "osteopenia", "osteoporosis"]
    page.get_by_role("radio", name="second").check(force=True)
    assert visible.evaluate_all(values) == ["0", "1", "2"]
    expect(caption).to_have_text(re.compile(r"second 1.0 · .* 2\b"))  # not "no map for osteopenia"
    page.keyboard.press("1")
    expect(caption).to_have_text(re.compile(r"second 1.0 · .* 0\b"))
    page.keyboard.press("s")  # side by side, the first model shows its own answer, as it has no class 0
    expect(page.locator(".pane .caption").first).to_have_text(re.compile("efficientnet 1.0 · .*(normal|osteop)"))


def test_keys_switch_the_map_invert_zoom_and_help(page: Page, film: str) -> None:
    open_film(page, film)
    with_map = shot(page)
    page.keyboard.press("m")
    bare = shot(page)
    expect(page.locator("#said")).to_have_text("heat map off")
    assert np.abs(with_map - bare).max() > 20
    page.keyboard.press("i")
    inverted = shot(page)
    middle = np.s_[300:400, 450:550, 0]
    assert np.abs(inverted[middle] + bare[middle] - 255).max() <= 2
    page.keyboard.press("i")
    page.keyboard.press("+")
    assert np.abs(shot(page) - bare).max() > 20
    page.keyboard.press("0")
    assert np.abs(shot(page) - bare).max() <= 1
    page.keyboard.press("[")
    expect(page.locator("output[for=opacity]")).to_have_text("55%")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()


def test_a_drag_sets_window_and_level(page: Page, film: str) -> None:
    open_film(page, film)
    page.locator("#map-on").uncheck()
    page.get_by_role("button", name="Drag sets brightness").click()
    before = shot(page, ".pane").mean()
    page.mouse.move(700, 400)
    page.mouse.down()
    page.mouse.move(700, 300, steps=4)  # 100 pixels up: the centre goes down by 50 grey values
    page.mouse.up()
    slope, intercept = (
        float(str(page.locator("#levels feFuncR").get_attribute(name))) for name in ("slope", "intercept")
    )
    assert (slope, intercept) == (1.0, pytest.approx(50 / 255, abs=0.01))
    assert shot(page, ".pane").mean() > before + 5


def test_threshold_hides_what_is_below_and_settings_are_kept(page: Page, film: str) -> None:
    open_film(page, film)
    page.locator("#threshold").fill("50")
    left = alphas(page)
    assert set(range(1, 128)).isdisjoint(left)
    assert max(left) == 255
    page.reload()
    expect(page.locator("#threshold")).to_have_value("50")


def test_a_frame_of_the_slider_takes_less_than_16_ms_on_a_film_of_2400_pixels(
    page: Page, context: BrowserContext
) -> None:
    pixels = np.rint(20 + 200 * hill(2400, 2400, 0.5, 0.5, 0.3)).astype(np.uint8)
    open_film(page, send(context, pixels, "large.png"))
    slide = """async () => {
      const slider = document.getElementById("opacity"), times = [];
      const frame = () => new Promise(requestAnimationFrame);
      let last = await frame();
      for (let i = 0; i < 120; i += 1) {
        slider.value = String(i % 100);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        const now = await frame();
        times.push(now - last);
        last = now;
      }
      return times;
    }"""
    # Other processes may have the cores for a while.
    assert any(np.median(page.evaluate(slide)) < 16 for _ in range(5))


def test_a_weak_map_is_fainter_and_the_caption_says_so(page: Page, film: str) -> None:
    """The answer's first two maps are said to be a quarter as strong as usual; the third's strength is not known."""

    def weaken(route: Route) -> None:
        answer = route.fetch()
        known = '"strength": 0.25, "strengthWords": "map strength 25%"'
        text = answer.text()
        assert text.count('"strength": null, "strengthWords": ""') >= 3
        route.fulfill(response=answer, body=text.replace('"strength": null, "strengthWords": ""', known, 2))

    page.route(re.compile(f"{film}$"), weaken)
    data = open_film(page, film)
    labels = [shown["label"] for shown in data["models"][0]["classes"]]
    page.locator("#opacity").fill("80")
    canvas, caption = page.locator("canvas.map").first, page.locator(".pane .caption").first
    for label, opacity, words in zip(labels, ("0.2", "0.2", "0.8"), (*[", map strength 25%"] * 2, ""), strict=True):
        page.locator(f"[name=label][value={label}]").check(force=True)
        expect(canvas).to_have_css("opacity", opacity)
        expect(caption).to_have_text(re.compile(f"map for {label}, maximum [0-9.e-]+{words}$|its map is empty$"))
    page.locator("#opacity").fill("40")
    expect(canvas).to_have_css("opacity", "0.4")
