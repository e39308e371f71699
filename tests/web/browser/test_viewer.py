"""The film's page in a real browser: what is on the screen is what film, map and table say."""

import json
import re
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from support.dicom import dataset, save

from osteolens.films.sample import drawn_knee

from .app import DESK, MANAGE, App, errors_of, fetched, greys, hill, open_film, png, send, shot

pytestmark = pytest.mark.slow


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
    table = np.array([*bytes.fromhex(data["colourMaps"]["inferno"])]).reshape(256, 3)
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
        bare = shot(page, ".pane")[60:-60, 100:-100, 0]
        page.locator("#map-on").check()
        change = np.abs(shot(page, ".pane")[60:-60, 100:-100, 0] - bare)
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
    shown = page.locator("[data-figures]:visible").evaluate_all("all => all.map((one) => one.dataset.figures)")
    assert shown == ["second", "second"]  # what it leads with, and the rest
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
    assert np.abs(shot(page) - bare)[:, 110:].max() <= 1  # right of the buttons, which are drawn a shade differently
    page.keyboard.press("[")
    expect(page.locator("output[for=opacity]")).to_have_text("55%")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()


def test_a_drag_sets_window_and_level(page: Page, film: str) -> None:
    open_film(page, film)
    page.locator("#map-on").uncheck()
    page.get_by_role("button", name="Brightness and contrast").click()
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
    context: BrowserContext, launch: Callable[..., Browser], app: App, cookies: dict[str, object]
) -> None:
    pixels = np.rint(20 + 200 * hill(2400, 2400, 0.5, 0.5, 0.3)).astype(np.uint8)
    film = send(context, pixels, "large.png")
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
    # Without the limit of 60 frames a second, which saves work elsewhere, the time between two is what a frame costs.
    with launch("--disable-frame-rate-limit", "--disable-gpu-vsync") as unlimited:
        page = unlimited.new_page(base_url=app.url, storage_state=cookies, viewport=DESK, service_workers="block")
        wrong = errors_of(page)
        open_film(page, film)
        # Other processes may have the cores for a while.
        assert any(np.median(page.evaluate(slide)) < 16 for _ in range(5))
        assert not wrong


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


@pytest.fixture(scope="module")
def deep_film(app: App, browser: Browser, cookies: dict[str, object]) -> str:
    """A film of 300 x 200 pixels of 12 bits: column c holds 100 + 10 c; pixels of 0.1 mm across and 0.2 mm down."""
    context = browser.new_context(base_url=app.url, storage_state=cookies)
    pixels = np.tile(100 + 10 * np.arange(300), (200, 1)).astype(np.uint16)
    header = {"WindowCenter": 1000, "WindowWidth": 400, "PixelSpacing": [0.2, 0.1]}
    address = send(context, save(dataset(pixels, 12, **header)), "deep.dcm")
    context.close()
    return address


def test_a_deep_film_is_windowed_from_its_own_values(page: Page, deep_film: str) -> None:
    """Greys by hand, of PS3.3 C.11.2.1.2.1: ((value - (level - 0.5)) / (width - 1) + 0.5) x 255."""
    open_film(page, deep_film)
    page.keyboard.press("w")
    presets = page.locator("#preset option")
    expect(presets).to_have_text(["header", "full range", "bone", "own values"], timeout=20_000)
    expect(page.locator("#centre")).to_have_value("1000")
    expect(page.locator("canvas.deep")).to_be_hidden()  # as it came: the server's own picture
    page.locator("#width").fill("1001")
    page.locator("#centre").fill("1600")
    page.locator("#centre").press("Tab")
    assert greys(page, 100, 150, 199) == [0, 128, 253]  # 1100: 0.13; 1600: 127.6; 2090: 252.6
    expect(page.locator("#preset")).to_have_value("own")
    page.locator("#preset").select_option("full range")
    assert greys(page, 0, 100, 299) == [0, 85, 255]  # from 100 to 3090: 1000 / 2990 x 255 = 85.3
    expect(page.locator("#said")).to_have_text("full range: level 1596, width 2991")
    page.locator("#preset").select_option("bone")
    assert greys(page, 149, 224, 298) == [0, 128, 255]  # half of the columns are at most 1590, 99.5 % at most 3080
    page.get_by_role("button", name="Invert").click()
    assert greys(page, 149, 224, 298) == [255, 127, 0]
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("canvas.deep")).to_be_hidden()


def test_lengths_and_angles_by_keys_are_in_millimetres_and_outlive_a_reload(page: Page, deep_film: str) -> None:
    """An arrow moves the cross by 6 pixels, a fiftieth of the longer side."""
    open_film(page, deep_film)

    def press(*keys: str) -> None:
        for key in keys:
            name, _, times = key.partition("*")
            for _ in range(int(times or 1)):
                page.keyboard.press(name)

    said = page.locator("#said")
    press("l")
    expect(page.locator("svg.rulers")).to_be_attached()  # its script comes with the first use
    press("ArrowLeft*10", "Enter", "ArrowRight*20")
    expect(said).to_have_text("cross at 210, 100")
    press("Enter")
    expect(said).to_have_text("length 12.0 mm")  # 120 pixels of 0.1 mm
    press("ArrowUp*5", "Enter", "ArrowDown*9", "Shift+ArrowUp*4", "Enter")
    expect(said).to_have_text("length 10.0 mm")  # 54 - 4 pixels of 0.2 mm
    press("a", "ArrowRight*10", "Enter", "ArrowLeft*10", "Enter", "ArrowRight*10", "ArrowUp*5", "Enter")
    expect(said).to_have_text("angle 45.0°")  # 60 x 0.1 mm across, 30 x 0.2 mm up
    rows = ["1. length 12.0 mm", "2. length 10.0 mm", "3. angle 45.0°"]
    expect(page.locator("#measures li")).to_have_text(rows)
    press("r", "h")
    expect(page.locator("#stage-state")).to_contain_text("mirrored, turned 90° anticlockwise")
    expect(page.locator("#measures li")).to_have_text(rows)
    page.reload()
    expect(page.locator("#measures li")).to_have_text(rows)
    expect(page.locator(".rulers text")).to_have_text(["1: 12.0 mm", "2: 10.0 mm", "3: 45.0°"])
    for _ in rows:
        page.locator("#measures button").first.click()
    expect(page.locator("#measures")).to_be_hidden()


def test_film_and_map_turn_and_mirror_together_and_fill_the_screen(page: Page, film: str) -> None:
    open_film(page, film)
    at_scale(page, 2, 256)

    def middle() -> NDArray[np.float64]:
        seen = shot(page, ".pane")
        left = (seen.shape[1] - 352) // 2
        return seen[80:432, left : left + 352]

    before = middle()
    assert np.abs(before - before[:, ::-1]).max() > 40
    turned = np.rot90(before, -1)  # clockwise
    for key, wanted in (("r", turned), ("h", turned[:, ::-1]), ("0", before)):
        page.keyboard.press(key)
        assert any(np.abs(middle() - wanted).max() < 6 for _ in range(20)), key
    page.keyboard.press("l")
    expect(page.locator("svg.rulers")).to_be_attached()
    page.mouse.click(400, 300)
    page.mouse.click(500, 300)
    expect(page.locator("#said")).to_have_text("length 50 px")  # 100 pixels of the screen at twice the size
    expect(page.locator("#measures")).to_contain_text("In pixels: this film does not say how large they are")
    page.keyboard.press("0")
    page.keyboard.press("f")
    expect(page.locator("#said")).to_contain_text("full screen")
    assert page.evaluate("document.fullscreenElement?.id") == "viewer"
    page.keyboard.press("f")
    expect(page.locator("#said")).to_have_text("full screen is left")


def test_answer_and_controls_fit_a_screen_of_1280_by_800(page: Page, film: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    open_film(page, film)
    tops = page.locator(".controls > :visible").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().bottom)"
    )
    assert max(tops) - min(tops) < 12  # one line
    for part in (".answer .headline", ".answer .evidence", ".tools", ".controls", ".film-actions"):
        box = page.locator(part).filter(visible=True).first.bounding_box()
        assert box
        assert box["y"] + box["height"] <= 800, part
    assert page.evaluate("document.documentElement.scrollHeight") <= 800
    expect(page.locator("details.figures").first).not_to_have_attribute("open", "")


TWO_KNEES = """
import base64
from datetime import timedelta
from uuid import uuid4
import numpy as np
from django.utils import timezone
from films.answering import store
from films.asking import Outcome
from films.exporting import explanations_in, full_answer
from films.models import Reading
from osteolens.films.overlay import encode_map
from osteolens.schema import Answer

reading = Reading.objects.get(film_id="{film}", model="efficientnet")
row = full_answer(reading).model_dump(mode="json", by_alias=True)
for side, left, grey in (("right", 40, 90), ("left", 440, 200)):
    maps = [
        dict(method="gradcam", target=label, peak=1.0, map_png=encode_map(np.full((12, 16), grey, np.uint8)))
        for label in row["probabilities"]
    ]
    row["knees"].append(dict(
        box=[left, 180, left + 320, 500], joint=[left + 160, 360], plateau_width=260, turn=0, regions=dict(), side=side,
        side_from="position", label="normal", probabilities=row["probabilities"], explanations=maps,
    ))
maps = tuple(base64.b64decode(each["map_png"]) for each in explanations_in(row))
leased = dict(state="queued", lease=uuid4(), leased_until=timezone.now() + timedelta(hours=1))  # not due for the app
Reading.objects.filter(pk=reading.pk).update(**leased)
reading.refresh_from_db()
assert store(reading, Outcome(Answer.model_validate(row), maps))
"""
"""Stores an answer that lists two knees of a film of 800 x 600, each with maps of one grey level."""


def test_boxes_lie_on_the_knees_and_a_button_brings_each_one_with_its_own_map(
    app: App, page: Page, context: BrowserContext
) -> None:
    film = send(context, np.hstack([drawn_knee(600, 400, seed) for seed in (3, 8)]), "legs.png")
    code = TWO_KNEES.format(film=film.strip("/").rpartition("/")[2])
    subprocess.run([*MANAGE, "shell", "-c", code], env=app.environment, check=True, capture_output=True)
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        open_film(page, film)
        if width < 600:  # on a phone the buttons are in a sheet
            page.locator("[data-sheet]").click()
            expect(page.locator(".sheet.open")).to_be_visible()
        page.wait_for_timeout(400)
        switch_between_knees(page)
        switch_to_a_model_without_knees(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def switch_to_a_model_without_knees(page: Page) -> None:
    """Buttons, boxes and the knee that is shown are those of the chosen model."""
    knee, film = page.locator("label", has_text="left knee"), page.locator("label", has_text=re.compile("^film$"))
    knee.click()
    page.locator("[name=model][value=second]").check(force=True)
    for part in (knee, film, page.locator("svg.boxes")):
        expect(part).to_be_hidden()
    expect(page.locator(".pane .caption").first).not_to_have_text(re.compile("knee"))
    page.locator("[name=model][value=efficientnet]").check(force=True)
    expect(film.locator("input")).to_be_checked()
    expect(page.locator("svg.boxes rect").first).to_be_visible()


def switch_between_knees(page: Page) -> None:
    shown, boxes = page.locator("img.film").bounding_box(), page.locator("svg.boxes rect")
    assert shown
    scale = shown["width"] / 800
    expect(boxes).to_have_count(2)
    for number, left in enumerate((40, 440)):
        box = boxes.nth(number).bounding_box()
        assert box
        wanted = [shown["x"] + left * scale, shown["y"] + 180 * scale, 320 * scale]
        assert [box["x"], box["y"], box["width"]] == pytest.approx(wanted, abs=2)
    caption, whole = page.locator(".pane .caption").first, alphas(page)
    for number, (name, grey) in enumerate((("right knee", 90), ("left knee", 200))):
        page.locator("label", has_text=name).first.click()
        expect(caption).to_have_text(re.compile(f"{name}: map for"))
        page.wait_for_timeout(200)
        assert set(alphas(page)) == {grey}
        box, pane = boxes.nth(number).bounding_box(), page.locator(".pane").bounding_box()
        assert box
        assert pane
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        assert middle == pytest.approx((pane["x"] + pane["width"] / 2, pane["y"] + pane["height"] / 2), abs=3)
        assert box["width"] > 1.3 * 320 * scale  # brought nearer
    page.locator("label", has_text=re.compile("^film$")).first.click()
    expect(caption).not_to_have_text(re.compile("knee"))
    page.wait_for_timeout(200)
    assert alphas(page) == whole
    assert page.evaluate("window.scrollX") == 0
