"""A real TorchServe, the app before it, Chromium before that. One of each for all files of this folder."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from stores import CONFIG, add_twin, build_archive

from osteolens.serving.torchserve import Server

from .app import DESK, MODELS, OTHER, App, errors_of, hill, log_in, send

CHROMIUM = (
    "chromium", "google-chrome", "chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)  # fmt: skip


@pytest.fixture(scope="package")
def app(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    store = tmp_path_factory.mktemp("web_store")
    add_twin(build_archive(model_folder, exports, store), MODELS[1], {"minWorkers": "1", "maxWorkers": "1"})
    with Server(CONFIG, port=0, model_store=store) as server, App(tmp_path_factory.mktemp("web"), server) as running:
        yield running


@pytest.fixture(scope="package")
def launch() -> Iterator[Callable[..., Browser]]:
    """Starts Chromium with further options."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("needs Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        yield lambda *options: playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *options])


@pytest.fixture(scope="package")
def browser(launch: Callable[..., Browser]) -> Iterator[Browser]:
    with launch() as running:
        yield running


@pytest.fixture(scope="package")
def cookies(app: App, browser: Browser) -> dict[str, object]:
    """The owner's session, so that not every test logs in."""
    context = browser.new_context(base_url=app.url, service_workers="block")
    log_in(context.new_page())
    state: dict[str, object] = context.storage_state()
    context.close()
    return state


@pytest.fixture
def context(app: App, browser: Browser, cookies: dict[str, object]) -> Iterator[BrowserContext]:
    opened = browser.new_context(
        base_url=app.url, storage_state=cookies, viewport=DESK, service_workers="block", accept_downloads=True
    )
    yield opened
    opened.close()


@pytest.fixture
def stranger(app: App, browser: Browser) -> Iterator[Page]:
    """A page of the other account."""
    opened = browser.new_context(base_url=app.url, viewport=DESK, service_workers="block")
    page = opened.new_page()
    log_in(page, OTHER)
    yield page
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page of the owner's; nothing may go wrong in it, and nothing may break the content security policy."""
    opened = context.new_page()
    wrong = errors_of(opened)
    yield opened
    assert not wrong


@pytest.fixture(scope="package")
def film(app: App, browser: Browser, cookies: dict[str, object]) -> str:
    """The address of a smooth film of 256 x 256, whose map has a pixel for each of its own; the other knee is there."""
    context = browser.new_context(base_url=app.url, storage_state=cookies)
    pixels = np.rint(30 + 170 * hill(256, 256, 0.4, 0.6, 0.35)).astype(np.uint8)
    send(context, pixels[:, ::-1].copy(), "other.png", patient="P-1", side="right")
    address = send(context, pixels, "smooth.png", label_text="Smooth hill", patient="P-1", side="left")
    context.close()
    return address
