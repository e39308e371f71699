"""Pictures of the app for the documentation: drawn films are uploaded to a running app and its pages photographed.

    make serve
    .venv/bin/python scripts/screenshots.py --url http://127.0.0.1:8000 --password PASSWORD

The account keeps the drawn films; use one that is there for this only.
"""

import argparse
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from osteolens.films.sample import drawn_knee

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 780}
FACTS = {"age": "67", "sex": "female", "weight_kg": "61", "height_m": "1.62"}


def upload(page: Page, count: int) -> None:
    """Films of two sizes, the first with what is known of its patient, sent through the page itself."""
    for number in range(count):
        buffer = io.BytesIO()
        size = (1500, 1248) if number % 3 else (1280, 1024)
        Image.fromarray(drawn_knee(*size, seed=number)).save(buffer, "JPEG", quality=90)
        if number == count - 1:
            page.locator("details.card summary").click()
            for name, value in FACTS.items():
                field = page.locator(f"[name={name}]")
                field.select_option(value) if name == "sex" else field.fill(value)
            page.fill("[name=label_text]", "Left knee, follow-up")
        film = {"name": f"knee_{number + 1:02d}.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}
        page.set_input_files("input[name=file]", [film])
        page.locator(".upload-row").nth(number).wait_for()
        page.locator(".upload-row:is([data-state=done], [data-state=known])").nth(number).wait_for()


def photograph(page: Page, path: Path) -> None:
    """The page as it is once nothing moves any more."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    page.screenshot(path=path, type="jpeg", quality=85)


def signed_in(browser: Browser, arguments: argparse.Namespace, **options: object) -> BrowserContext:
    """A context of one size and theme with somebody logged in."""
    context = browser.new_context(base_url=arguments.url, service_workers="block", **options)
    page = context.new_page()
    page.goto("/accounts/login")
    page.fill("[name=username]", arguments.user)
    page.fill("[name=password]", arguments.password)
    page.click("main button")
    page.locator("#upload").wait_for()
    return context


def main() -> None:
    """Upload, visit, photograph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        desk = signed_in(browser, arguments, viewport=DESK)
        page = desk.pages[0]
        upload(page, count=8)
        photograph(page, arguments.out / "upload.jpg")
        page.goto("/films/")
        photograph(page, arguments.out / "history.jpg")
        film, other = (page.locator(".film-link").nth(i).get_attribute("href") for i in (0, 1))
        page.goto(str(film))
        photograph(page, arguments.out / "film.jpg")
        page.keyboard.press("s")
        photograph(page, arguments.out / "side_by_side.jpg")
        page.goto(f"/compare?films={str(film).split('/')[2]}&films={str(other).split('/')[2]}")
        photograph(page, arguments.out / "compare.jpg")
        phone = signed_in(browser, arguments, viewport=PHONE, color_scheme="dark", has_touch=True, is_mobile=True)
        page = phone.pages[0]
        page.goto(str(film))
        photograph(page, arguments.out / "phone.jpg")
        browser.close()


if __name__ == "__main__":
    main()
