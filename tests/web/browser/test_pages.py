"""Every page: accessible in both themes and at both sizes, light, safe, and limited where it must be."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import all_pages
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect

from .app import OTHER, App, log_in, open_film

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 360, "height": 780}, "is_mobile": True, "has_touch": True}
LIMIT = 150_000
"""Bytes of a page without its films and maps, uncompressed."""
WIRE_LIMIT = 65_000
"""The same as they are sent, on a first visit."""


def addresses(film: str) -> list[str]:
    ids = film.split("/")[2]
    return [
        "/",
        "/films/",
        "/films/?sort=patient",
        "/worklist/",
        film,
        f"/compare?films={ids}&films={ids}",
        "/accounts/password",
        "/accounts/",
        "/accounts/second-factor",
        "/staff/",
        "/staff/accounts/add",
        "/staff/accounts/1/",
        "/staff/audit",
        "/films/none/",
    ]


def faults(page: Page, theme: str) -> list[str]:
    """Serious and critical findings of axe, WCAG 2.2 A and AA; the themes differ in nothing but colours."""
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    rules = {"type": "tag", "values": tags} if theme == "light" else {"type": "rule", "values": ["color-contrast"]}
    violations = Axe().run(page, options={"runOnly": rules}).response["violations"]
    return [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in violations
        for node in violation["nodes"]
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_fault_of_access(
    app: App, browser: Browser, cookies: dict[str, object], film: str, theme: str
) -> None:
    context = browser.new_context(
        base_url=app.url, storage_state=cookies, color_scheme=theme, service_workers="block", reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(film)
    patient = str(page.get_by_role("link", name="P-1", exact=True).get_attribute("href")).split("/")[2]
    values = {"film_id": film.split("/")[2], "patient_id": patient, "user_id": 1}
    for address in [*(address for _, address in all_pages.addresses(values)), "/films/none/"]:
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert faults(page, theme) == [], address
    open_film(page, film)
    page.keyboard.press("l")
    expect(page.locator("svg.rulers")).to_be_attached()
    page.mouse.click(300, 300)
    page.keyboard.press("w")
    expect(page.locator("#preset option")).to_have_count(4)
    assert faults(page, theme) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Controls").click()
    assert faults(page, theme) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    file = Path(app.environment["OSTEOLENS_DATA"]) / "osteolens.sqlite3"
    with closing(sqlite3.connect(file, timeout=20)) as database:
        number = film.split("/")[2].replace("-", "")
        kept = database.execute("SELECT id, state FROM xrays_reading WHERE film_id = ?", [number]).fetchall()
        for state, words in (("refused", "Not answered"), ("queued", "No answer yet")):
            change = "UPDATE xrays_reading SET state = ?, next_try_at = '2100-01-01', error_message = 'why'"
            database.execute(f"{change} WHERE film_id = ?", [state, number])
            database.commit()
            page.goto(film)
            expect(page.locator("#answer .headline")).to_have_text(words)
            assert faults(page, theme) == []
        change = "UPDATE xrays_reading SET state = ?, error_message = '' WHERE id = ?"
        database.executemany(change, [(state, row) for row, state in kept])
        database.commit()
    page.goto(film)
    page.get_by_role("link", name="P-1", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Patient P-1")
    assert faults(page, theme) == []
    context.clear_cookies()
    page.goto("/accounts/login")
    assert faults(page, theme) == []
    context.close()


def test_on_a_phone_nothing_overflows_and_fingers_pinch(
    app: App, browser: Browser, cookies: dict[str, object], film: str
) -> None:
    context = browser.new_context(base_url=app.url, storage_state=cookies, service_workers="block", **PHONE)
    page = context.new_page()
    for address in addresses(film):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address
        for width in (360, 820):
            page.set_viewport_size({"width": width, "height": 780})
            assert page.evaluate(HARD_TO_HIT) == [], (address, width)
        page.set_viewport_size({"width": 360, "height": 780})
    page.goto(film)
    page.wait_for_load_state("networkidle")
    strip, stage, sheet = (page.locator(part).bounding_box() for part in ("#answer", "#stage", "#sheet"))
    assert strip["y"] + strip["height"] <= stage["y"] + 1  # type: ignore[index]
    assert stage["y"] + stage["height"] <= sheet["y"] + 1 <= 781  # type: ignore[index]
    assert page.locator("#opacity").is_visible()
    page.get_by_role("button", name="Controls").tap()
    page.evaluate("document.querySelectorAll('main details').forEach((one) => (one.open = true))")
    small = page.locator("main").evaluate(SMALL)
    assert small == []
    page.get_by_role("button", name="Controls").tap()
    shown = page.locator(".answer[data-figures]:visible")
    assert shown.get_attribute("data-figures") == "efficientnet"
    for first, last, model in ((250, 80, "second"), (80, 250, "efficientnet")):
        swipe(context, page, first, last, int(strip["y"]) + 8)  # type: ignore[index]
        expect(shown).to_have_attribute("data-figures", model)
    page.goto("/")
    expect(page.locator("input[capture=environment]")).to_be_attached()
    expect(page.get_by_text("Take a photo")).to_be_visible()
    page.goto(film)
    page.wait_for_load_state("networkidle")
    assert page.locator("#stage").bounding_box()["height"] > 780 / 2  # type: ignore[index]
    before = scale(page)
    session = context.new_cdp_session(page)

    def touch(kind: str, *x: int) -> None:
        points = [{"x": across, "y": 500, "id": number} for number, across in enumerate(x)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 150, 210)
    for step in range(1, 5):
        touch("touchMove", 150 - 10 * step, 210 + 10 * step)
    touch("touchEnd")
    assert scale(page) / before == pytest.approx(140 / 60, rel=0.35)
    context.close()


SMALL = """main => [...main.querySelectorAll("button, .button, summary, select, input, .segments label, .switch label")]
  .filter((one) => one.checkVisibility() && !["radio", "checkbox", "hidden"].includes(one.type))
  .map((one) => [one.outerHTML.slice(0, 90), one.getBoundingClientRect()])
  .filter(([, box]) => box.height && (box.height < 44 || box.width < 44))
  .map(([html, { width, height }]) => `${html} ${width} x ${height}`)"""


HARD_TO_HIT = """() => {
  const text = ".sr-only, .languages, p:not(.tick):has(a), li:has(> a), figcaption, label > *";
  const none = ".skip, label[for], label:has(input:not([type=checkbox], [type=radio])), [type=hidden], [type=file]";
  return [...document.querySelectorAll("a[href], button, summary, select, input, label")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && one.getBoundingClientRect().width > 2)
    .filter((one) => !one.matches(none) && !one.closest(text))
    .filter((one) => {
      one.scrollIntoView({ block: "center", inline: "center" });
      const { x, y, width, height } = one.getBoundingClientRect();
      return [[-21, 0], [21, 0], [0, -21], [0, 21]].some(([right, down]) => {
        const hit = document.elementFromPoint(x + width / 2 + right, y + height / 2 + down);
        return hit && !one.contains(hit);
      });
    })
    .map((one) => one.outerHTML.slice(0, 120));
}"""
"""Targets of which a finger misses the middle by 21 pixels and hits something else; links within text may be small."""


def swipe(context: BrowserContext, page: Page, first: int, last: int, y: int) -> None:
    session = context.new_cdp_session(page)
    for kind, points in (
        ("touchStart", [{"x": first, "y": y}]),
        ("touchMove", [{"x": (first + last) / 2, "y": y}]),
        ("touchMove", [{"x": last, "y": y}]),
        ("touchEnd", []),
    ):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def scale(page: Page) -> float:
    transform = page.locator(".layers").first.evaluate("one => one.style.transform")
    return float(re.search(r"scale\(([\d.]+)\)", transform).group(1))  # type: ignore[union-attr]


def test_the_theme_follows_the_system_and_the_switch(context: BrowserContext, page: Page) -> None:
    def ground() -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", colour)[:3])

    page.emulate_media(color_scheme="light")
    page.goto("/films/")
    assert ground() > 600
    page.emulate_media(color_scheme="dark")
    assert ground() < 150
    page.get_by_role("button", name="Light or dark").click()
    assert ground() > 600
    page.reload()
    assert ground() > 600


def test_pages_weigh_less_than_150_kilobytes_without_films_and_maps(
    app: App, browser: Browser, cookies: dict[str, object], film: str
) -> None:
    for address in addresses(film):
        context = browser.new_context(base_url=app.url, storage_state=cookies, service_workers="block")
        page = context.new_page()
        responses: list[Response] = []
        page.on("response", lambda response, responses=responses: responses.append(response))
        page.goto(address)
        shell = [
            response for response in responses if not re.search(r"/(picture\.png|thumb\.jpg|maps/.*)$", response.url)
        ]
        weights = {response.url: len(response.body()) for response in shell}
        assert any(url.endswith("osteolens.css") and weight > 15_000 for url, weight in weights.items())
        rows = page.locator(".films tbody tr").evaluate_all("all => all.map((row) => row.outerHTML.length)")
        missing = (50 - len(rows)) * max(rows) if rows else 0  # as if the history had a full page of films
        assert sum(weights.values()) + missing < LIMIT, (address, missing, weights)
        assert sum(response.request.sizes()["responseBodySize"] for response in shell) < WIRE_LIMIT, address
        context.close()


def test_scripts_in_names_and_labels_stay_text(page: Page, context: BrowserContext) -> None:
    page.goto("/films/?q=<script>alert(1)</script>")
    expect(page.get_by_label("Search")).to_have_value("<script>alert(1)</script>")
    policy = context.request.get("/").headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "default-src 'self'" in policy


def test_too_many_wrong_passwords_are_stopped_and_say_so(app: App, browser: Browser) -> None:
    context = browser.new_context(base_url=app.url, service_workers="block")
    page = context.new_page()
    for _ in range(20):
        log_in(page, "nobody", "a wrong password")
        stopped = page.get_by_role("heading", name="Too many attempts")
        expect(page.get_by_role("alert").or_(stopped)).to_be_visible()
        if stopped.count():
            break
    expect(page.get_by_role("heading", level=1)).to_have_text("Too many attempts")
    expect(page.locator("main")).to_contain_text("seconds")
    log_in(page, OTHER)
    expect(page.locator("#drop")).to_be_visible()
    context.close()
