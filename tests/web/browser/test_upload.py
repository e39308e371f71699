"""Upload by the page: several films, a bad one, a known one, none without a network."""

import io
import re
import time
import zipfile

import numpy as np
import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, Route, expect

from .app import App, hill, log_in, png

pytestmark = pytest.mark.slow


def film(name: str, row: float) -> FilePayload:
    pixels = np.rint(20 + 200 * hill(200, 160, row, 0.5, 0.2)).astype(np.uint8)
    return {"name": name, "mimeType": "image/png", "buffer": png(pixels)}


def test_of_three_films_the_bad_one_says_why_and_the_others_are_answered(page: Page) -> None:
    page.goto("/")
    bad: FilePayload = {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 a letter"}
    page.locator("details.card summary").click()
    page.fill("[name=label_text]", "three at once")
    page.set_input_files("input[name=file]", [film("one.png", 0.31), bad, film("two.png", 0.32)])
    for name in ("one.png", "two.png"):
        done = page.locator(".upload-row[data-state=done]", has_text=name)
        expect(done).to_contain_text("no finding")  # the card of this small model has no figures
        expect(done.locator("img")).to_have_js_property("naturalHeight", 200)
    refused = page.locator(".upload-row[data-state=bad]")
    expect(refused).to_contain_text("letter.pdf")
    expect(refused).to_contain_text("PDF")
    page.set_input_files("input[name=file]", [film("again.png", 0.31)])
    known = page.locator(".upload-row[data-state=known]")
    expect(known).to_contain_text("already")
    known.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("three at once")
    expect(page.locator("main")).to_contain_text("one.png")


def test_a_zip_archive_becomes_its_films(page: Page) -> None:
    page.goto("/")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, row in {"left.png": 0.86, "right.png": 0.87}.items():
            archive.writestr(f"disc/{name}", film(name, row)["buffer"])
    packed: FilePayload = {"name": "disc.zip", "mimeType": "application/zip", "buffer": stream.getvalue()}
    damaged: FilePayload = {"name": "cut.zip", "mimeType": "application/zip", "buffer": stream.getvalue()[:-40]}
    page.set_input_files("input[name=file]", [packed, damaged])
    for name in ("left.png", "right.png"):
        expect(page.locator(".upload-row[data-state=done]", has_text=name)).to_be_visible()
    expect(page.locator(".upload-row[data-state=bad]", has_text="cut.zip")).to_contain_text("no zip archive")


def test_films_come_by_drop_and_by_paste(page: Page) -> None:
    page.goto("/")
    for number, (kind, property_name) in enumerate({"drop": "dataTransfer", "paste": "clipboardData"}.items()):
        page.evaluate(
            """([bytes, name, kind, property]) => {
              const transfer = new DataTransfer();
              transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
              const event = new Event(kind, { bubbles: true, cancelable: true });
              Object.defineProperty(event, property, { value: transfer });
              document.getElementById("drop").dispatchEvent(event);
            }""",
            [list(film("", 0.4 + number / 10)["buffer"]), f"by_{kind}.png", kind, property_name],
        )
        expect(page.locator(".upload-row[data-state=done]", has_text=f"by_{kind}.png")).to_be_visible()


def test_a_film_added_without_a_network_is_sent_when_it_is_back(
    app: App, browser: Browser, cookies: dict[str, object]
) -> None:
    context = browser.new_context(base_url=app.url, storage_state=cookies)  # with its service worker
    page = context.new_page()
    page.goto("/")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    context.set_offline(True)
    page.goto("/films/")
    expect(page.get_by_role("heading", level=1)).to_have_text("You are offline")
    page.set_input_files("input[name=file]", [film("on_the_train.png", 0.7)])
    expect(page.locator(".upload-row[data-state=waiting]")).to_contain_text("on_the_train.png")
    page.reload()
    expect(page.locator(".upload-row[data-state=waiting]")).to_contain_text("on_the_train.png")
    context.set_offline(False)
    # Every two seconds the page asks for the server, and a try that meets the service worker's is made again.
    expect(page.locator(".films")).to_contain_text("on_the_train.png", timeout=30_000)
    context.close()


def test_without_a_network_what_the_server_would_refuse_is_refused_at_once(
    app: App, browser: Browser, cookies: dict[str, object]
) -> None:
    context = browser.new_context(base_url=app.url, storage_state=cookies)
    page = context.new_page()
    page.goto("/")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    context.set_offline(True)
    page.goto("/films/")
    bad: FilePayload = {"name": "letter.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 a letter"}
    empty: FilePayload = {"name": "empty.png", "mimeType": "image/png", "buffer": b""}
    page.set_input_files("input[name=file]", [bad, empty, film("good.png", 0.71)])
    expect(page.locator(".upload-row[data-state=bad]", has_text="letter.pdf")).to_contain_text("no picture")
    expect(page.locator(".upload-row[data-state=bad]", has_text="empty.png")).to_contain_text("empty")
    expect(page.locator(".upload-row[data-state=waiting]")).to_have_count(1)
    context.close()


def test_a_film_that_was_refused_while_no_page_was_open_is_announced_once(page: Page) -> None:
    page.goto("/films/")
    script = page.evaluate("""document.querySelector('script[src*="site"]').src""")
    page.goto(script)  # no page of the app is open
    page.evaluate(
        """async (script) => {
          const outbox = await import(script.replace("site", "outbox"));
          const refused = { code: "unsupported_type", message: "found a PDF document" };
          await outbox.keep({ user: await outbox.remembered(), name: "late.png", file: new File(["x"], "late.png"),
                              fields: [], url: "/upload", refused });
        }""",
        script,
    )
    page.goto("/films/")
    expect(page.locator("#notice")).to_contain_text("late.png was refused: found a PDF document")
    expect(page.locator("[data-waiting]")).to_have_text("1 refused")
    page.goto("/films/")
    expect(page.locator("[data-waiting]")).to_have_text("1 refused")
    expect(page.locator("#notice")).to_be_hidden()


def test_log_out_asks_about_waiting_films_and_forgets_them(app: App, browser: Browser) -> None:
    context = browser.new_context(base_url=app.url)
    page = context.new_page()
    log_in(page)
    expect(page.locator("#drop")).to_be_visible()
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    context.set_offline(True)
    page.set_input_files("input[name=file]", [film("never_sent.png", 0.8)])
    expect(page.locator(".badge")).to_have_text("1 waiting")
    questions: list[str] = []
    page.on("dialog", lambda dialog: (questions.append(dialog.message), dialog.accept()))
    # The server is reached again, but the outbox is busy elsewhere: the film still waits.
    page.evaluate("navigator.locks.request('outbox', () => new Promise(() => {})), true")
    context.set_offline(False)
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    assert questions == ["1 of your films waits to be sent. Log out and forget it?"]
    log_in(page)
    expect(page.locator("#drop")).to_be_visible()
    expect(page.locator(".upload-row")).to_have_count(0)
    context.close()


def test_a_known_film_of_another_patient_is_kept_as_a_second_film_or_changes_the_first(page: Page) -> None:
    page.goto("/")
    page.locator("details.card summary").click()
    addresses = []
    for age, state in (("44", "done"), ("63", "known")):
        page.fill("[name=age]", age)
        page.set_input_files("input[name=file]", [film("two_patients.png", 0.36)])
        row = page.locator(f".upload-row[data-state={state}]", has_text="two_patients.png")
        expect(row).to_be_visible()
        addresses.append(row.get_by_role("link").get_attribute("href"))
    assert addresses[0] == addresses[1]
    expect(row).to_contain_text("age is 44 there and 63 here")
    row.get_by_role("button", name="Keep both").click()
    expect(page.locator(".upload-row[data-state=done]", has_text="two_patients.png")).to_have_count(2)
    links = page.locator(".upload-row[data-state=done] a", has_text="two_patients.png")
    assert len({link.get_attribute("href") for link in links.all()}) == 2

    page.fill("[name=age]", "70")
    page.set_input_files("input[name=file]", [film("two_patients.png", 0.36)])
    known = page.locator(".upload-row[data-state=known]", has_text="two_patients.png")
    known.get_by_role("button", name="Use these facts there").click()
    expect(known).to_contain_text("You have this film already")
    page.goto(str(addresses[0]))
    expect(page.locator("[name=age]")).to_have_value(re.compile("^70"))


def test_a_known_film_that_waited_for_the_network_keeps_its_facts(
    app: App, browser: Browser, cookies: dict[str, object]
) -> None:
    context = browser.new_context(base_url=app.url, storage_state=cookies)
    page = context.new_page()
    page.goto("/")
    page.locator("details.card summary").click()
    page.fill("[name=age]", "44")
    page.set_input_files("input[name=file]", [film("waited.png", 0.91)])
    expect(page.locator(".upload-row[data-state=done]")).to_contain_text("waited.png")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    context.set_offline(True)
    page.fill("[name=age]", "63")
    page.set_input_files("input[name=file]", [film("waited.png", 0.91)])
    expect(page.locator(".upload-row[data-state=waiting]")).to_contain_text("waited.png")
    context.set_offline(False)
    known = page.locator(".upload-row[data-state=known]")
    expect(known).to_contain_text("age is 44 there and 63 here", timeout=15_000)
    known.get_by_role("button", name="Keep both").click()
    expect(page.locator(".upload-row[data-state=known]")).to_have_count(0, timeout=15_000)
    expect(page.locator(".upload-row[data-state=done]")).to_have_count(2)
    page.goto("/films/?q=waited.png")
    expect(page.locator(".films tbody tr")).to_have_count(2)
    context.close()


def rows(page: Page, state: str) -> Locator:
    return page.locator(f".upload-row[data-state={state}]")


def test_facts_go_with_the_films_that_are_added_and_with_no_later_ones(page: Page) -> None:
    page.goto("/")
    panel = page.locator("details.card summary")
    panel.click()
    page.fill("[name=patient]", "Q-1")
    page.select_option("[name=side]", "left")
    panel.click()
    expect(panel).to_contain_text("Patient: Q-1 · Side: Left")  # closed, and seen all the same
    page.set_input_files("input[name=file]", [film("first.png", 0.511)])
    expect(page.locator("[data-facts]")).to_be_empty()
    page.set_input_files("input[name=file]", [film("second.png", 0.512)])
    expect(rows(page, "done")).to_have_count(2)
    panel.click()
    page.fill("[name=patient]", "Q-2")
    page.check("#keep-facts")
    for name, row in {"third.png": 0.513, "fourth.png": 0.514}.items():
        page.set_input_files("input[name=file]", [film(name, row)])
    expect(rows(page, "done")).to_have_count(4)
    expect(panel).to_contain_text("Patient: Q-2")
    page.goto("/films/?q=Q-1")
    expect(page.locator(".films tbody tr")).to_have_count(1)
    page.goto("/films/?q=Q-2")
    expect(page.locator(".films tbody tr")).to_have_count(2)


def test_films_are_sent_although_the_page_is_left(page: Page) -> None:
    held: list[Route] = []
    page.route("**/upload", lambda route: held.append(route))  # the answers never come
    page.goto("/")
    page.set_input_files("input[name=file]", [film(f"left_{n}.png", 0.52 + n / 1000) for n in range(5)])
    expect(page.locator(".badge")).to_have_text("5 waiting")
    expect(page.locator(".upload-row[data-state=sending]")).to_have_count(2)
    page.unroute("**/upload")
    page.goto("/films/?q=left_")
    expect(page.locator(".films tbody tr")).to_have_count(5, timeout=20_000)
    expect(page.locator(".badge")).to_be_hidden()
    assert len(held) == 2


def test_the_badge_counts_down_while_films_are_sent(page: Page) -> None:
    seen: list[Route] = []

    def hold_all_but_two(route: Route) -> None:
        seen.append(route)
        if len(seen) <= 2:
            route.continue_()

    page.route("**/upload", hold_all_but_two)
    page.goto("/")
    page.set_input_files("input[name=file]", [film(f"down_{n}.png", 0.57 + n / 1000) for n in range(4)])
    expect(rows(page, "done")).to_have_count(2, timeout=20_000)
    expect(page.locator(".badge")).to_have_text("2 waiting")
    for route in seen[2:]:
        route.continue_()
    expect(page.locator(".badge")).to_be_hidden()


def test_a_film_outlives_the_session(app: App, browser: Browser) -> None:
    context = browser.new_context(base_url=app.url, service_workers="block")
    page = context.new_page()
    log_in(page)
    expect(page.locator("#drop")).to_be_visible()
    page.wait_for_load_state()  # the scripts that take the film are there
    context.clear_cookies()
    page.set_input_files("input[name=file]", [film("logged_out.png", 0.531)])
    expect(rows(page, "waiting")).to_contain_text("no longer logged in")
    rows(page, "waiting").get_by_role("link", name="Log in").click()
    log_in(page)
    expect(rows(page, "done")).to_contain_text("logged_out.png")
    context.close()


def test_where_the_server_says_wait_the_page_waits_and_goes_on(page: Page) -> None:
    refusals: list[float] = []

    def answer(route: Route) -> None:
        if len(refusals) > 2:
            route.continue_()
            return
        refusals.append(time.monotonic())
        error = {"code": "too_many_uploads", "message": "more than 120 films in a minute", "hint": "wait 1 s"}
        route.fulfill(status=429, headers={"Retry-After": "1"}, json={"schema": 1, "error": error})

    page.route("**/upload", answer)
    page.goto("/")
    page.set_input_files("input[name=file]", [film(f"many_{n}.png", 0.54 + n / 1000) for n in range(6)])
    expect(page.locator("#upload-note")).to_have_text(
        "More than 120 films in a minute: the rest is sent by itself in 1 s."
    )
    assert rows(page, "bad").count() == 0
    expect(rows(page, "done")).to_have_count(6, timeout=20_000)
    expect(page.locator("#upload-note")).to_be_hidden()
    assert refusals[-1] - refusals[0] >= 0.9
