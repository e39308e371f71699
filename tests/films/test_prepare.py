import hashlib

import numpy as np
import pytest
from conftest import knee_like

from osteolens.card import PreprocessSpec
from osteolens.films import overlay
from osteolens.films.prepare import content_box, prepare

SPEC = PreprocessSpec(height=128, width=96)


def framed(level: int, top: int, right: int, bottom: int, left: int) -> np.ndarray:
    """A textured block, no line of it empty, in a frame of one level."""
    block = np.random.default_rng(0).integers(80, 200, (200, 160)).astype(np.uint8)
    return np.pad(block, ((top, bottom), (left, right)), constant_values=level)


@pytest.mark.parametrize("level", [0, 25, 255])
@pytest.mark.parametrize("frame", [(10, 20, 30, 40), (0, 0, 50, 0), (0, 0, 0, 0)])
def test_borders_are_cropped_to_the_pixel(level: int, frame: tuple[int, int, int, int]) -> None:
    top, right, bottom, left = frame
    assert content_box(framed(level, top, right, bottom, left)) == (top, left, 200, 160)


def test_a_grey_surround_is_not_a_border() -> None:
    assert content_box(framed(128, 10, 10, 10, 10)) == (0, 0, 220, 180)


def test_frames_within_frames_and_small_markers_are_cropped() -> None:
    film = np.pad(framed(0, 30, 30, 30, 30), 12, constant_values=255)
    film[20:26, 20:26] = 200  # a marker in the black frame, narrower than 4 % of the line
    assert content_box(film) == (42, 42, 200, 160)


def test_noise_in_a_black_border_is_still_border() -> None:
    film = framed(4, 40, 40, 40, 40)
    noise = np.random.default_rng(1).integers(-4, 5, film.shape)
    film = np.clip(film.astype(int) + noise, 0, 255).astype(np.uint8)
    assert content_box(film) == (40, 40, 200, 160)


@pytest.mark.parametrize("width", [1, 63, 64, 65, 128, 200])
def test_a_border_of_any_width_is_cropped_to_the_pixel(width: int) -> None:
    """Also where it ends at or beside the edge of the strips that are looked at together."""
    assert content_box(framed(0, width, width, width, width)) == (width, width, 200, 160)


def test_a_film_that_is_nearly_all_border_stays_whole() -> None:
    film = np.zeros((400, 400), np.uint8)
    film[190:210, 190:210] = 200
    assert content_box(film) == (0, 0, 400, 400)


def test_aspect_ratio_is_kept_and_the_rest_is_black() -> None:
    prepared = prepare(framed(0, 0, 0, 0, 0), SPEC)  # 200 x 160 into 128 x 96: scale 0.6
    assert prepared.array.shape == (1, 128, 96)
    assert prepared.array.dtype == np.uint8
    assert prepared.geometry.scaled == (120, 96)
    assert prepared.geometry.offset == (4, 0)
    assert (prepared.array[0, :4] == 0).all()
    assert (prepared.array[0, 124:] == 0).all()
    assert prepared.array[0, 4:124].min() > 80


def test_cropping_can_be_turned_off() -> None:
    spec = PreprocessSpec(height=128, width=96, crop_borders=False)
    assert prepare(framed(0, 40, 40, 40, 40), spec).geometry.crop == (0, 0, 280, 240)


def test_golden_array() -> None:
    """The one preprocessing must not drift: a changed hash means that every trained model must be retrained."""
    prepared = prepare(np.pad(knee_like(300, 240), 30), PreprocessSpec(height=160, width=160))
    digest = hashlib.sha256(prepared.array.tobytes()).hexdigest()
    assert digest == "34660019dee21345750487abaa207c26889659564092d30a9107228ced6d49f6"


def test_a_map_lands_on_the_film_exactly() -> None:
    """A bright square at a known place, found in the input, must come back to the same place."""
    film = np.zeros((600, 900), np.uint8)
    film[100:500, 300:700] = np.random.default_rng(0).integers(70, 90, (400, 400))  # content, 400 x 400
    film[200:250, 600:650] = 255
    prepared = prepare(film, PreprocessSpec(height=200, width=300))
    assert prepared.geometry.crop == (100, 300, 400, 400)
    spot = (prepared.array[0] > 170).astype(np.float32)  # scale 0.5: rows 50..75, columns 50+150..50+175
    assert np.argwhere(spot).min(axis=0).tolist() == [50, 200]
    assert np.argwhere(spot).max(axis=0).tolist() == [74, 224]
    back = prepared.geometry.to_film(spot)
    assert back.shape == (600, 900)
    assert np.argwhere(back > 0.5).min(axis=0).tolist() == [200, 600]
    assert np.argwhere(back > 0.5).max(axis=0).tolist() == [249, 649]


def test_a_coarse_map_lands_on_the_film_too() -> None:
    """One cell of a 4 x 6 feature map over a padded input: its centre of mass is known by hand."""
    film = np.random.default_rng(0).integers(80, 200, (400, 400)).astype(np.uint8)
    prepared = prepare(film, PreprocessSpec(height=200, width=300))  # scale 0.5, 50 columns of padding each side
    cells = np.zeros((4, 6), np.float32)
    cells[1, 2] = 1.0  # input rows 50..100, columns 100..150 -> film rows 100..200, columns 100..200
    levels, peak = overlay.map_on_film(cells * 3, prepared.geometry)
    assert peak == 3.0
    assert levels.shape == (256, 256)
    rows, columns = np.indices(levels.shape)
    centre = [(axis * levels).sum() / levels.sum() for axis in (rows, columns)]
    np.testing.assert_allclose(centre, [150 * 256 / 400 - 0.5] * 2, atol=0.5)


def test_cropped_away_parts_of_the_map_are_empty() -> None:
    prepared = prepare(framed(0, 40, 0, 0, 0), SPEC)
    levels = prepared.geometry.to_film(np.ones((4, 3), np.float32))
    assert levels.shape == (240, 160)
    assert (levels[:40] == 0).all()
    np.testing.assert_allclose(levels[40:], 1.0, atol=1e-6)
