"""The shipped gate on pictures that are drawn here, and its parts with values worked out by hand."""

import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from osteolens.errors import CardError
from osteolens.films import gate as gate_module
from osteolens.films.gate import CODES, GATE_FILES, SIDE, Gate, coarse, find_gate, measure, view
from osteolens.films.read import read
from osteolens.films.sample import drawn_knee

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "weights" / "gate"
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(SHIPPED)


@pytest.fixture(scope="module")
def knee() -> Picture:
    return drawn_knee(1280, 1024, 77)


def codes(gate: Gate, picture: Picture) -> list[str]:
    return [reason.code for reason in gate.check(np.ascontiguousarray(picture))[0]]


def test_the_sample_is_accepted_without_a_warning(gate: Gate) -> None:
    assert gate.check(read(ROOT / "samples" / "knee.jpg").pixels) == ((), ())


@pytest.mark.parametrize("seed", range(100, 106))
def test_drawn_knees_are_accepted_mirrored_ones_too(gate: Gate, seed: int) -> None:
    picture = drawn_knee(900, 720, seed)
    assert codes(gate, picture) == []
    assert codes(gate, picture[:, ::-1]) == []


def document(_: Picture) -> Picture:
    page = np.full((1200, 900), 245, np.uint8)
    for line in range(60, 1180, 40):
        cv2.putText(page, "one more line of a letter to nobody", (40, line), cv2.FONT_HERSHEY_SIMPLEX, 1, 20, 2)
    return page


def stacked(knee: Picture) -> Picture:
    return np.vstack([knee[::2, ::2], np.full((20, 512), 255, np.uint8), knee[::2, ::2]])


def stamped(knee: Picture) -> Picture:
    knee = knee.copy()
    for line in range(3):
        cv2.putText(knee, "DO NOT COPY 4711", (90, 560 + 90 * line), cv2.FONT_HERSHEY_SIMPLEX, 3, 255, 8)
    return knee


def replaced(knee: Picture) -> Picture:
    """A knee with a prosthesis: a cap on the femur, a tray with a stem in the tibia."""
    knee = knee.copy()
    cv2.ellipse(knee, (512, 560), (190, 110), 0, 180, 360, 250, -1)
    for side in (-1, 1):
        cv2.ellipse(knee, (512 + side * 105, 560), (85, 60), 0, 0, 360, 250, -1)
    cv2.rectangle(knee, (330, 660), (694, 690), 250, -1)
    cv2.fillPoly(knee, [np.array([[470, 690], [554, 690], [530, 900], [494, 900]], np.int32)], 250)
    return knee


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("turned", lambda knee: np.rot90(knee)),
        ("turned", lambda knee: np.rot90(knee, 2)),
        ("turned", lambda knee: np.rot90(knee, 3)),
        ("inverted", lambda knee: 255 - knee),
        ("metal", replaced),
        ("written", stamped),
        ("collage", stacked),
        ("not_a_knee", document),
        ("not_a_knee", lambda knee: np.random.default_rng(0).integers(0, 256, knee.shape, np.uint8)),
        ("not_a_knee", lambda knee: np.tile(np.linspace(0, 255, 900).astype(np.uint8), (900, 1))),
        ("too_small", lambda knee: cv2.resize(knee, (100, 125), interpolation=cv2.INTER_AREA)),
        ("too_dark", lambda knee: knee // 12),
        ("no_contrast", lambda knee: 110 + knee // 12),
        ("blurred", lambda knee: cv2.GaussianBlur(knee, (0, 0), 12)),
        ("blurred", lambda knee: cv2.GaussianBlur(knee, (0, 0), 80)),  # what detail is left is that of rounding
    ],
)
def test_each_fault_is_named(gate: Gate, knee: Picture, code: str, change: Callable[[Picture], Picture]) -> None:
    assert code in codes(gate, change(knee).astype(np.uint8))


def test_turned_films_say_how_to_turn_them_back(gate: Gate, knee: Picture) -> None:
    reasons, _ = gate.check(np.ascontiguousarray(np.rot90(knee, -1)))  # lies turned by 90 degrees clockwise
    assert "by 270 degrees clockwise" in next(reason.message for reason in reasons if reason.code == "turned")


def test_every_code_is_documented() -> None:
    page = (ROOT / "docs" / "gate.md").read_text()
    assert [code for code in sorted(CODES) if f"`{code}`" not in page] == []


def test_the_film_s_size_does_not_matter(gate: Gate, knee: Picture) -> None:
    large = np.repeat(np.repeat(knee, 3, axis=0), 3, axis=1)
    assert np.array_equal(coarse(large), coarse(knee))
    assert np.array_equal(view(coarse(large)), view(coarse(knee)))
    assert view(coarse(knee)).shape == (SIDE, SIDE)


def test_measurements_worked_out_by_hand() -> None:
    content = np.full((100, 100), 40, np.uint8)
    content[:30] = 200
    content[99] = 250  # one row in a hundred is beyond both percentiles
    content[98] = 7
    values = measure(content)
    assert (values.high, values.median, values.contrast) == (200, 40, 200 - 40)
    noise = np.random.default_rng(1).integers(0, 256, (100, 100), np.uint8)
    assert measure(cv2.GaussianBlur(noise, (0, 0), 3)).detail < measure(noise).detail / 3
    ramp = np.tile(np.linspace(20, 60, 100), (100, 1))  # only rounding makes steps of it
    assert measure(np.round(ramp).astype(np.uint8)).detail < 0.2


def test_a_gate_is_beside_the_card_or_beside_the_model_folder(tmp_path: Path) -> None:
    model = tmp_path / "weights" / "mine"
    model.mkdir(parents=True)
    assert find_gate(model) is None
    shutil.copytree(SHIPPED, tmp_path / "weights" / "gate")
    assert find_gate(model) == tmp_path / "weights" / "gate"
    for name in GATE_FILES:
        shutil.copyfile(SHIPPED / name, model / name)
    assert find_gate(model) == model


@pytest.mark.parametrize("change", ["network", "card", "missing"])
def test_a_gate_of_two_halves_is_refused(tmp_path: Path, change: str) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "gate"))
    card = folder / gate_module.CARD_FILE
    if change == "network":
        card.write_text(json.dumps(json.loads(card.read_text()) | {"network_sha256": "0" * 64}))
    elif change == "card":
        card.write_text("{")
    else:
        card.unlink()
    with pytest.raises(CardError, match="sha256" if change == "network" else "cannot be read"):
        Gate(folder)


def test_it_takes_a_few_milliseconds_of_a_core(gate: Gate, knee: Picture) -> None:
    cv2.setNumThreads(1)
    seconds = []
    for _ in range(30):
        started = time.process_time()
        gate.check(knee)
        seconds.append(time.process_time() - started)
    assert statistics.median(seconds) < 0.01  # some four times what it takes alone
