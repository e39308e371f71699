import io

import cv2
import numpy as np
import pytest
from conftest import knee_like
from numpy.typing import NDArray
from PIL import Image
from support.shown import evidence
from test_schema import ANSWER

from osteolens.card import PreprocessSpec
from osteolens.films import overlay
from osteolens.films.png import examine
from osteolens.films.prepare import Geometry, prepare
from osteolens.schema import Answer, Explanation


def test_map_png_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(overlay.decode_map(overlay.encode_map(levels)), levels)


def test_colours_run_from_black_to_bright() -> None:
    table = overlay.colours(np.arange(256, dtype=np.uint8)).astype(int)
    assert table[0].tolist() == [0, 0, 4]
    assert table[255].tolist() == [252, 255, 164]
    brightness = table @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(brightness) >= 0).all()


def test_layer_is_transparent_where_the_map_is_empty() -> None:
    levels = np.array([[0, 255]], np.uint8)
    rgba = np.asarray(overlay.layer(levels, opacity=0.6))
    assert rgba[0, 0, 3] == 0
    assert rgba[0, 1].tolist() == [252, 255, 164, 153]


def test_blend_leaves_the_film_alone_where_the_map_is_empty() -> None:
    film = knee_like(300, 240)
    levels = np.zeros((30, 24), np.uint8)
    levels[20:, :] = 255
    page = np.asarray(overlay.blend(film, levels, "title", opacity=1.0))
    top = page.shape[0] - 300
    shown = page[top:, :240]
    np.testing.assert_array_equal(shown[:150], np.repeat(film[:150, :, None], 3, axis=2))
    np.testing.assert_array_equal(shown[250:], np.broadcast_to([252, 255, 164], (50, 240, 3)))
    bar = page[top:, 240:]
    assert (bar == np.array([252, 255, 164])).all(axis=2).any()


def test_an_empty_map_has_no_peak() -> None:
    geometry = prepare(knee_like(), PreprocessSpec(height=64, width=64)).geometry
    levels, peak = overlay.map_on_film(np.zeros((2, 2), np.float32), geometry)
    assert peak == 0.0
    assert not levels.any()


def test_a_weak_map_is_drawn_fainter() -> None:
    levels = np.array([[0, 255, 100]], np.uint8)
    assert np.asarray(overlay.layer(levels, opacity=0.6, strength=0.5))[0, :, 3].tolist() == [0, 76, 30]
    full = overlay.layer(levels, opacity=0.6)
    assert full.tobytes() == overlay.layer(levels, opacity=0.6, strength=1.0).tobytes()
    film = knee_like(60, 50)
    shown = np.asarray(overlay.blend(film, np.full((6, 5), 255, np.uint8), "title", opacity=1.0, strength=0.0))
    np.testing.assert_array_equal(shown[-60:, :50], np.repeat(film[:, :, None], 3, axis=2))


def test_the_title_says_how_strong_a_map_is() -> None:
    weak = Explanation(method="gradcam", target="normal", map_png="", peak=0.3, strength=0.03)
    answer = Answer.model_validate(ANSWER)
    first, second = overlay.describe(weak, answer).splitlines()
    assert first == "normal (gradcam), answer: osteopenia"
    assert second == "map strength 0.03 of the training films' median"
    unknown = weak.model_copy(update={"strength": None})
    assert overlay.describe(unknown, answer) == first


def test_the_title_leads_with_no_label_of_a_model_that_is_not_shown_to_beat_chance() -> None:
    explanation = Explanation(method="gradcam", target="normal", map_png="", peak=0.3)
    titles = [
        overlay.describe(explanation, Answer.model_validate(ANSWER | {"evidence": shown.model_dump()}))
        for shown in (evidence(0.4), evidence(0.4, fused=0.6))
    ]
    assert titles == [
        "normal (gradcam), answer: no finding", "normal (gradcam), answer: osteoporosis with age and sex"
    ]  # fmt: skip


def test_a_title_of_two_lines_leaves_the_film_whole() -> None:
    film, levels = np.full((300, 240), 120, np.uint8), np.zeros((30, 24), np.uint8)
    low, high = (np.asarray(overlay.blend(film, levels, title)) for title in ("one", "one\ntwo"))
    assert high.shape[0] > low.shape[0]
    for page in (low, high):
        assert (page[-300:, :240] == 120).all()
        assert not page[-301, :240].any()


def by_pillow(raw: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float64]:
    """The levels of a map that Pillow draws, before they are rounded."""
    (top, left), (inner_h, inner_w), (height, width) = geometry.offset, geometry.scaled, geometry.film
    down, across = raw.shape[0] / geometry.input[0], raw.shape[1] / geometry.input[1]
    box = (left * across, top * down, (left + inner_w) * across, (top + inner_h) * down)
    scale = overlay.MAP_SIDE / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    crop_top, crop_left, crop_h, crop_w = geometry.crop
    y0, y1 = round(crop_top * size[0] / height), round((crop_top + crop_h) * size[0] / height)
    x0, x1 = round(crop_left * size[1] / width), round((crop_left + crop_w) * size[1] / width)
    part = Image.fromarray(raw / raw.max()).resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=box)
    film = np.zeros(size)
    film[y0:y1, x0:x1] = np.asarray(part)
    return film * 255


@pytest.mark.parametrize("side", [7, 10, 300])
@pytest.mark.parametrize("shape", [(300, 240), (1024, 1024), (90, 700)])
def test_a_map_is_drawn_as_pillow_draws_it(side: int, shape: tuple[int, int]) -> None:
    film = np.pad(knee_like(*shape), ((30, 10), (0, 50)))  # with borders that are cropped
    geometry = prepare(film, PreprocessSpec(height=224, width=224)).geometry
    raw = np.random.default_rng(side).gamma(1, 1, (side, side)).astype(np.float32)
    levels, peak = overlay.map_on_film(raw, geometry)
    assert peak == raw.max()
    assert abs(levels - by_pillow(raw, geometry)).max() <= 0.51


@pytest.mark.parametrize("shape", [(1, 1), (1, 256), (256, 1), (201, 77)])
def test_any_size_of_map_is_a_png_that_others_read(shape: tuple[int, int]) -> None:
    levels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    png = overlay.encode_png(levels)
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), levels)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), levels)
    png_layout = examine(png)  # the reader's own check of chunks and checksums
    assert (png_layout.height, png_layout.width, png_layout.bits, png_layout.channels) == (*shape, 8, 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 256), (256, 1), (201, 77)])
def test_a_coloured_picture_is_a_png_that_others_read(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    png = overlay.encode_png(pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), pixels)
    png_layout = examine(png)
    assert (png_layout.height, png_layout.width, png_layout.bits, png_layout.channels) == (*shape, 8, 3)


def test_each_level_has_the_colour_and_opacity_of_the_ramp() -> None:
    drawn = np.asarray(overlay.layer(np.arange(256, dtype=np.uint8)[None], 0.5, "viridis", strength=0.5))
    np.testing.assert_array_equal(drawn[0, :, :3], overlay.colours(np.arange(256, dtype=np.uint8), "viridis"))
    np.testing.assert_array_equal(drawn[0, :, 3], [round(level * 0.25) for level in range(256)])
