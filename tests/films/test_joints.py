"""Joints on films: frames, sides and reasons by hand-worked numbers; cutting out knees so that maps find back."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from osteolens.card import Card, PreprocessSpec, TrainingData, file_sha256
from osteolens.errors import CardError, UnusableImage
from osteolens.films import joints
from osteolens.films.joints import CELL, INPUT_SIDE, Finder, Joint, decoded, finder_of, reduced
from osteolens.films.knees import faults, is_framed, prepare_each, prepare_row, sides
from osteolens.films.prepare import prepare
from osteolens.films.read import read
from osteolens.films.sample import drawn_knee

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "weights" / "joints" / "joints.onnx"
EACH = PreprocessSpec(height=64, width=64, view="each knee")
RIGHT = Joint(x=150, y=200, width=83, turn=0, left=0.02, score=0.9)
LEFT = Joint(x=450, y=220, width=83, turn=0, left=0.98, score=0.9)
BOTH = (RIGHT, LEFT)


class Fixed(Finder):
    """Finds the same joints on every film."""

    def __init__(self, *found: Joint) -> None:
        self.joints = found

    def find(self, pixels: np.ndarray) -> tuple[Joint, ...]:
        return self.joints


def film(height: int = 500, width: int = 600) -> np.ndarray:
    return np.random.default_rng(0).integers(30, 200, (height, width)).astype(np.uint8)


def test_a_frame_has_the_joint_at_its_place() -> None:
    # 83 / 0.83 is a side of 100; the joint is half of it from the left and 0.6 of it from the top.
    assert RIGHT.frame == (100, 140, 200, 240)


def test_regions_lie_on_the_leg_and_on_the_film() -> None:
    knee = Joint(x=100, y=200, width=100, turn=0, left=0.5, score=1)
    assert knee.regions((1000, 300)) == {
        "femoral shaft": (50, 0, 150, 80), "joint": (50, 175, 150, 225), "tibial shaft": (50, 300, 150, 400)
    }  # fmt: skip
    assert set(knee.regions((260, 300))) == {"femoral shaft", "joint"}
    # A leg turned clockwise leans to the right above the joint: tan 45 degrees is 1.
    assert replace(knee, turn=45).regions((1000, 400))["femoral shaft"][0] == 50 + 170


def test_maps_are_decoded_to_joints() -> None:
    maps = np.full((7, 16, 16), -9, np.float32)
    maps[:, 5, 3] = (3, 0.25, -0.5, np.log(4), 0.5, -4, 5)  # presence, right, down, log width, turn / 30, left, real
    maps[:, 5, 4] = (2, -0.75, -0.5, np.log(4), 0.5, -4, 5)  # the neighbour means the same joint
    maps[:, 9, 12] = (1, 0, 0, np.log(2), 0, 4, 5)
    maps[:, 13, 3] = (4, 0, 0, np.log(2), 0, 4, 1)  # looks like a knee, and is none
    first, second = decoded(maps)
    assert first[:4] == pytest.approx((3.75 * CELL, 5 * CELL, 32, 15))
    assert first[4:] == pytest.approx((1 / (1 + np.exp(4)), 1 / (1 + np.exp(-3))), rel=1e-4)
    assert second[:4] == pytest.approx((12.5 * CELL, 9.5 * CELL, 16, 0))


@pytest.mark.parametrize(("height", "width"), [(640, 320), (320, 640), (100, 128), (1249, 1024)])
def test_a_reduced_film_keeps_places(height: int, width: int) -> None:
    pixels = np.zeros((height, width), np.uint8)
    x, y = width * 0.75, height * 0.25
    pixels[round(y) - height // 40 : round(y) + height // 40, round(x) - height // 40 : round(x) + height // 40] = 255
    small, scale, left, top = reduced(pixels)
    assert small.shape == (INPUT_SIDE, INPUT_SIDE)
    rows, columns = np.nonzero(small > 60)
    assert ((columns + 0.5).mean() - left) / scale == pytest.approx(x, abs=0.6 / scale)
    assert ((rows + 0.5).mean() - top) / scale == pytest.approx(y, abs=0.6 / scale)


def test_sides_follow_position_then_header_then_fibula() -> None:
    assert sides(BOTH) == (("right", "position"), ("left", "position"))
    assert sides(BOTH, header="left") == (("right", "position"), ("left", "position"))
    mirrored = replace(RIGHT, left=0.98), replace(LEFT, left=0.02)
    assert sides(mirrored) == ((None, None), (None, None))
    assert sides((RIGHT,)) == (("right", "fibula"),)
    assert sides((RIGHT,), header="left") == (("left", "header"),)
    assert sides((replace(RIGHT, left=0.6),)) == ((None, None),)
    assert sides(()) == ()


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        ((), {"no_knee"}),
        (BOTH, set()),
        ((*BOTH, replace(LEFT, x=300)), {"several_knees"}),
        ((replace(RIGHT, x=30),), {"knee_cut_off"}),
        ((replace(RIGHT, x=40),), set()),  # 1.5 of 83 pixels of the plateau are outside
        ((replace(LEFT, x=580),), {"knee_cut_off"}),
        ((replace(RIGHT, turn=-20),), {"turned"}),
        ((RIGHT, replace(LEFT, turn=16, x=590)), {"turned", "knee_cut_off"}),
    ],
)
def test_what_cannot_be_read_has_its_reason(found: tuple[Joint, ...], codes: set[str]) -> None:
    reasons = faults(found, (500, 600))
    assert set(reasons) == codes
    assert all("expected" in text for text in reasons.values())


def test_a_picture_framed_as_a_single_knee_is_prepared_as_ever() -> None:
    pixels = film(224, 224)
    framed = Joint(x=115, y=130, width=186, turn=0, left=0, score=1)
    assert is_framed(framed, pixels.shape)
    whole = prepare(pixels, replace_view(EACH))
    (each,) = prepare_each(pixels, EACH, (framed,), ("right",))
    assert np.array_equal(each.array, whole.array)
    assert each.geometry == whole.geometry
    assert not is_framed(replace(framed, width=120), pixels.shape)
    assert not is_framed(replace(framed, x=160), pixels.shape)
    (cut,) = prepare_each(pixels, EACH, (replace(framed, width=120),), ("right",))
    assert not np.array_equal(cut.array, whole.array)


def replace_view(spec: PreprocessSpec) -> PreprocessSpec:
    return spec.model_copy(update={"view": "whole film"})


@pytest.mark.parametrize("mirror_to", [None, "left"])
def test_a_map_of_a_knee_falls_on_that_knee(mirror_to: str | None) -> None:
    """A mark in a knee is where the map of the mark lands, also beyond the edge and mirrored."""
    spec = EACH.model_copy(update={"mirror_to": mirror_to})
    at_the_edge = replace(RIGHT, x=30)
    for joint, (x, y) in ((LEFT, (430, 200)), (RIGHT, (170, 225)), (at_the_edge, (20, 190))):
        pixels = np.zeros((500, 600), np.uint8)
        pixels[y - 4 : y + 4, x - 4 : x + 4] = 255
        (prepared,) = prepare_each(pixels, spec, (joint,), ("left" if joint is LEFT else "right",))
        assert prepared.geometry.mirrored == (mirror_to == "left" and joint is not LEFT)
        assert prepared.array.max() > 200
        back = prepared.geometry.to_film(prepared.array[0].astype(np.float32))
        weights = back / back.sum()
        assert (weights.sum(axis=0) @ (np.arange(600) + 0.5)) == pytest.approx(x, abs=1.5)
        assert (weights.sum(axis=1) @ (np.arange(500) + 0.5)) == pytest.approx(y, abs=1.5)


def test_beyond_the_film_the_input_is_black() -> None:
    # The frame of 100 pixels begins 20 pixels to the left of the film: a fifth of the input's columns.
    (prepared,) = prepare_each(film(), EACH, (replace(RIGHT, x=30),), ("right",))
    assert not prepared.array[0, :, :13].any()
    assert prepared.array[0, :, 13:].min() > 0


def test_a_row_of_a_table_says_which_knee_is_meant() -> None:
    pixels, finder = film(), Fixed(*BOTH)
    right, left = prepare_each(pixels, EACH, BOTH, ("right", "left"))
    assert np.array_equal(prepare_row(pixels, EACH, finder, "right").array, right.array)
    assert np.array_equal(prepare_row(pixels, EACH, finder, "left").array, left.array)
    with pytest.raises(UnusableImage, match="2 knees"):
        prepare_row(pixels, EACH, finder, None)
    whole = prepare(pixels, EACH)
    assert np.array_equal(prepare_row(pixels, EACH, Fixed(), "left").array, whole.array)
    assert np.array_equal(prepare_row(pixels, replace_view(EACH), finder, None).array, whole.array)


def card(**facts: object) -> Card:
    data = TrainingData(name="films", split="none", films={}, groups={})
    return Card.model_validate(
        {"name": "tiny", "architecture": "tiny", "labels": ("a", "b"), "has_t_score": False, "weights_sha256": "0" * 64}
        | {"preprocess": EACH, "data": data}
        | facts
    )


def test_a_model_of_single_knees_needs_its_own_finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    assert finder_of(folder, card(preprocess=replace_view(EACH))) is None
    with pytest.raises(CardError, match=r"no joints\.onnx"):
        finder_of(folder, card())
    (tmp_path / "joints").mkdir()
    beside = tmp_path / "joints" / "joints.onnx"
    beside.write_bytes(b"graph")
    with pytest.raises(CardError, match="not the joint finder of tiny"):
        finder_of(folder, card(joints_sha256="1" * 64))
    finder = finder_of(folder, card(joints_sha256=file_sha256(beside)))
    assert finder is not None
    with pytest.raises(CardError, match="not the joint finder that comes"):
        finder.find(film())
    monkeypatch.setattr(joints, "find_spec", lambda name: None)
    with pytest.raises(CardError, match="needs onnxruntime"):
        finder_of(folder, card(joints_sha256=file_sha256(beside)))
    assert finder_of(folder, card(preprocess=replace_view(EACH))) is None


def test_old_cards_keep_their_hash() -> None:
    stored = card(preprocess=replace_view(EACH)).model_dump(mode="json")
    assert "joints_sha256" not in stored
    assert set(stored["preprocess"]) == {"height", "width", "crop_borders", "centre_height", "centre_width"}


@pytest.mark.parametrize("seed", [0, 101, 102])
def test_the_shipped_finder_finds_drawn_knees(seed: int) -> None:
    finder = Finder(SHIPPED)
    gap = np.random.default_rng(seed).uniform((-0.03, 0.46), (0.03, 0.52))[1]
    knee = drawn_knee(500, 400, seed)
    (joint,) = finder.find(knee)
    assert joint.y == pytest.approx((gap + 0.003) * 500, abs=12)
    assert joint.x == pytest.approx(208, abs=20)
    assert sides((joint,)) == (("left", "fibula"),)
    both = np.hstack([knee[:, ::-1], np.zeros((500, 60), np.uint8), knee])
    first, second = finder.find(both)
    assert (first.x < 400 < 460 < second.x, faults((first, second), both.shape)) == (True, {})
    assert finder.find(film()) == ()


def test_the_sample_film_is_one_knee() -> None:
    pixels = read(ROOT / "samples" / "knee.jpg").pixels
    found = Finder(SHIPPED).find(pixels)
    assert (len(found), faults(found, pixels.shape)) == (1, {})


def chest(seed: int) -> np.ndarray:
    """A chest: two dark lungs beside a bright spine, with ribs across."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:400j, -1:1:360j]
    page = np.full(x.shape, random.uniform(100, 160))
    for side in (-1, 1):
        lung = np.abs((x - side * 0.45) / 0.32) ** 2.5 + np.abs((y + 0.1) / 0.65) ** 3 < 1
        page[lung] *= random.uniform(0.2, 0.5)
    page += 70 * np.clip(1 - (x / random.uniform(0.08, 0.2)) ** 2, 0, 1)
    for rib in np.linspace(-0.8, 0.6, 9):
        page += 25 * np.clip(1 - ((y - rib - random.uniform(0.1, 0.4) * np.abs(x)) / 0.03) ** 2, 0, 1)
    page += random.normal(0, 6, page.shape)
    return cv2.GaussianBlur(np.clip(page, 0, 255).astype(np.uint8), (0, 0), 1.5)


@pytest.mark.parametrize("seed", [3, 4, 7, 10, 13, 15])
def test_what_only_looks_like_a_knee_is_dropped_by_the_second_look(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    finder, picture = Finder(SHIPPED), chest(seed)
    assert finder.find(picture) == ()
    monkeypatch.setattr(joints, "REAL", -np.inf)
    assert finder.find(picture)


def test_a_broken_finder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="cannot be read"):
        joints.Finder(tmp_path / "joints.onnx")
