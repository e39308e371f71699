"""Pictures of the app for the README: made-up films are uploaded to a running app and its pages photographed.

    make serve
    .venv/bin/python scripts/screenshots.py --url http://127.0.0.1:8000 --password PASSWORD

The account keeps the made-up films; use one that is there for this only.
"""

import argparse
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 780}
FACTS = {"age": "67", "sex": "female", "weight_kg": "61", "height_m": "1.62"}


def made_up_knee(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Something that looks like an antero-posterior film of a knee, and is nobody's: uint8 [height, width]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    x = x + random.uniform(-0.03, 0.03)
    gap = random.uniform(0.46, 0.52)

    def bone(middle: float, top: float, bottom: float, half_width: float) -> NDArray[np.float64]:
        flare = 1 + np.exp(-(((y - bottom) / 0.12) ** 2)) + np.exp(-(((y - top) / 0.12) ** 2))
        across = np.abs(x - middle - 0.02 * np.sin(3 * y)) / (half_width * flare)
        ends = 1 / (1 + np.exp(-(y - top) * 90)) / (1 + np.exp((y - bottom) * 90))
        solid: NDArray[np.float64] = np.clip(1.3 - across, 0, 1) * ends * (0.65 + 0.35 * np.clip(across, 0, 1))
        return solid

    bones = np.maximum(bone(0.5, -0.3, gap - 0.015, 0.13), bone(0.5, gap + 0.02, 1.3, 0.12))
    bones = np.maximum(bones, 0.7 * bone(0.74, gap + 0.08, 1.4, 0.035))
    kneecap = 0.2 * np.exp(-((((x - 0.5) / 0.11) ** 2 + ((y - gap + 0.11) / 0.085) ** 2) ** 2))
    flesh = 0.22 * np.exp(-(((x - 0.5) / 0.36) ** 4))
    coarse = Image.fromarray(random.normal(0, 0.02, (height // 4, width // 4)).astype(np.float32))
    texture = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) * (bones + 0.3)
    grain = random.normal(0, 0.012, (height, width))
    grey = np.clip(0.03 + flesh + 0.62 * bones + kneecap + texture + grain, 0, 1) ** 0.9
    return np.rint(grey * 255).astype(np.uint8)


def upload(page: Page, count: int) -> None:
    """Films of two sizes, the first with what is known of its patient, sent through the page itself."""
    for number in range(count):
        buffer = io.BytesIO()
        size = (1500, 1248) if number % 3 else (1280, 1024)
        Image.fromarray(made_up_knee(*size, seed=number)).save(buffer, "JPEG", quality=90)
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
