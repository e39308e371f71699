"""What a radiologist sees: our objects in OHIF, on a real Orthanc, in a real browser."""

import io
import json
import os
import shutil
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from pydicom.uid import DigitalXRayImageStorageForPresentation
from support.dicom import dataset, knee, save

from osteolens.dicomweb.answering import objects_for
from osteolens.dicomweb.objects import encode

from .ohif import Ohif
from .orthanc import Orthanc
from .test_objects import STUDY, answer

pytestmark = pytest.mark.slow
CANVAS = "canvas.cornerstone-canvas"
TOUR = "basicViewerTour"  # lies over the viewer until it was seen
CHROMIUM = ("chromium", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The viewer with the study open; nothing may be thrown in it."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop("needs Chromium; on Debian: apt-get install chromium")
    display = {"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX", "SeriesNumber": 1}
    shown = {"WindowCenter": 2048, "WindowWidth": 4096, "SeriesDescription": "Knee AP", "InstanceNumber": 1}
    film = save(dataset(knee(400, 300), 12, **(STUDY | display | shown)))
    one_map = answer(fused=True).model_copy(update={"explanations": answer().explanations[:1]})
    thrown: list[str] = []
    with (
        Orthanc(tmp_path_factory.mktemp("orthanc")) as orthanc,
        Ohif(orthanc) as ohif,
        sync_playwright() as playwright,
    ):
        orthanc.add([film, *map(encode, objects_for(film, lambda _: one_map))])
        options = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-gl=angle", "--use-angle=swiftshader"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        opened = browser.new_page(viewport={"width": 1600, "height": 800})
        opened.on("pageerror", lambda error: thrown.append(str(error)))
        opened.add_init_script(f"localStorage.setItem('shownTours', '{json.dumps([TOUR])}')")
        opened.goto(f"{ohif.url}/viewer?StudyInstanceUIDs={STUDY['StudyInstanceUID']}", timeout=120_000)
        opened.get_by_text("OsteoLens knee: report").wait_for(timeout=60_000)
        opened.locator(CANVAS).first.wait_for(timeout=60_000)
        yield opened
        browser.close()
    assert not thrown


def open_series(page: Page, name: str) -> None:
    page.get_by_text(f"OsteoLens knee: {name}", exact=True).dblclick()


def colours(page: Page) -> float:
    """Share of the viewport's pixels that are not grey."""
    picture = np.asarray(Image.open(io.BytesIO(page.locator(CANVAS).first.screenshot())).convert("RGB"), np.int16)
    return float((np.ptp(picture, axis=2) > 40).mean())


def test_the_list_has_every_object(page: Page) -> None:
    listed = page.inner_text("body")
    for name in ("film with heat map", "heat map", "report", "page"):
        assert f"OsteoLens knee: {name}" in listed


def test_the_picture_opens(page: Page) -> None:
    assert colours(page) < 0.01  # the film itself
    open_series(page, "film with heat map")
    page.wait_for_function("document.body.innerText.split('OsteoLens knee: film with heat map').length > 2")
    deadline = time.monotonic() + 60
    while colours(page) < 0.05:
        assert time.monotonic() < deadline
        page.wait_for_timeout(500)


def test_the_reports_measurements_stand_on_the_film(page: Page) -> None:
    open_series(page, "report")
    measurements = page.locator("svg text", has_text="Probability of osteopenia: 0.50").first
    deadline = time.monotonic() + 90
    while not measurements.count():
        assert time.monotonic() < deadline
        page.wait_for_timeout(5000)
        # On a busy machine OHIF may draw the film before it knows of the measurements: change the grey levels.
        box = page.locator(CANVAS).first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 200, box["y"] + 200)
        page.mouse.down()
        page.mouse.move(box["x"] + 210, box["y"] + 210)
        page.mouse.up()
    lines = page.locator("svg text tspan").all_text_contents()
    assert {
        "Probability of normal: 0.20 1", "Probability of osteopenia: 0.50 1", "Probability of osteoporosis: 0.30 1",
        "Estimated T-score: -1.83 {T-score}", "Maximum of the heat map: 0.50 1",
    } <= set(lines)  # fmt: skip
