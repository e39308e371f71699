"""The app as `make serve` runs it, in processes of its own, and films for it."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import APIResponse, BrowserContext, ConsoleMessage, Page, expect

from osteolens.serving.torchserve import Server

ROOT = Path(__file__).parents[3]
MANAGE = [sys.executable, str(ROOT / "web" / "manage.py")]
OWNER, OTHER, PASSWORD = "admin", "colleague", "a knee in the light 7"
MODELS = ("efficientnet", "second")
DESK = {"width": 1440, "height": 900}


class App:
    """`manage.py serve_web` on a free port, with two accounts, and with further settings if there are any."""

    def __init__(self, data: Path, server: Server | SimpleNamespace, **settings: str) -> None:
        self.environment = os.environ | {
            "OSTEOLENS_DATA": str(data), "OSTEOLENS_ADMIN_PASSWORD": PASSWORD, "OSTEOLENS_MODELS": ",".join(MODELS),
            "OSTEOLENS_URL": server.url, "OSTEOLENS_KEY": server.inference_key or "",
            "DJANGO_SETTINGS_MODULE": "project.settings",
        } | settings  # fmt: skip
        for name in ("DATABASE_URL", "OSTEOLENS_KEY_FILE"):
            self.environment.pop(name, None)
        self.log = data.with_suffix(".log")

    def __enter__(self) -> "App":
        with self.log.open("w") as log:
            command = [*MANAGE, "serve_web", "--bind", "127.0.0.1:0"]
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True, cwd=self.log.parent
            )
        assert self.process.stdout
        for line in self.process.stdout:
            if match := re.search(r"http://[\d.]+:\d+", line):
                self.url = match.group()
                break
        else:
            raise AssertionError(self.log.read_text())
        account = [*MANAGE, "add_account", OTHER, "--password", PASSWORD]
        subprocess.run(account, env=self.environment, check=True, capture_output=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=120)


def drawn(page: Page) -> None:
    """Wait until the page was painted: before its first frame Chromium drops the keys that are pressed."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def open_film(page: Page, film: str) -> dict:
    """Open a film's page, wait for film and map, and return the viewer's data."""
    page.goto(film)
    expect(page.locator("canvas.map").first).not_to_have_js_property("width", 300)  # a canvas that was never drawn on
    assert page.evaluate("document.querySelector('img.film').complete")
    drawn(page)
    data: dict = json.loads(page.locator("#viewer-data").inner_text())
    return data


def log_in(page: Page, name: str = OWNER, password: str = PASSWORD) -> None:
    page.goto("/accounts/login")
    page.fill("[name=username]", name)
    page.fill("[name=password]", password)
    page.click("main button")


def errors_of(page: Page) -> list[str]:
    """What goes wrong in it from now on, or breaks the content security policy."""
    wrong: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return wrong


def send(context: BrowserContext, film: NDArray[np.uint8] | bytes, name: str, **facts: str) -> str:
    """Upload a film, pixels or a file, as the page does, without the page; returns its address."""
    token = context.request.get("/session").json()["csrf"]
    form = facts | {
        "file": {"name": name, "mimeType": "image/png", "buffer": film if isinstance(film, bytes) else png(film)}
    }
    answer: APIResponse = context.request.post("/upload", multipart=form, headers={"X-CSRFToken": token})
    assert answer.ok, answer.text()
    assert answer.json()["state"] == "answered", answer.text()
    return str(answer.json()["url"])


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def fetched(context: BrowserContext, url: str) -> NDArray[np.uint8]:
    """A grey picture of the app's: uint8 [H, W]."""
    answer = context.request.get(url)
    assert answer.ok, url
    with Image.open(io.BytesIO(answer.body())) as image:
        assert image.mode == "L"
        return np.asarray(image)


def hill(height: int, width: int, row: float, column: float, spread: float) -> NDArray[np.float64]:
    """A smooth spot: 1 at (row, column), which are shares of height and width."""
    rows, columns = np.mgrid[0:height, 0:width]
    down, right = rows + 0.5 - row * height, columns + 0.5 - column * width
    return np.exp(-(down**2 + right**2) / (spread * max(height, width)) ** 2)


def shot(page: Page, selector: str = "#stage") -> NDArray[np.float64]:
    """What is on the screen there: float [H, W, 3], 0 to 255."""
    with Image.open(io.BytesIO(page.locator(selector).screenshot())) as image:
        return np.asarray(image.convert("RGB")).astype(np.float64)


def greys(page: Page, *columns: int) -> list[int]:
    """Pixels of the deep film's canvas as drawn, in the first row."""
    drawn(page)
    levels: list[int] = page.evaluate(
        """(columns) => {
          const pen = document.querySelector("canvas.deep").getContext("2d");
          return columns.map((column) => pen.getImageData(column, 0, 1, 1).data[0]);
        }""",
        list(columns),
    )
    return levels
