"""The film's own range, whatever lies beside it: numbers worked out for each case."""

import itertools

import numpy as np
import pytest
from conftest import encoded
from numpy.typing import NDArray
from PIL import Image
from tiff_writers import written

from osteolens.films.read import read
from osteolens.films.window import film_range, window

SIDE = 500
LOW, HIGH = 300, 3900
# 12 bits: every level of the range equally often, so the film's 0.5th percentile is 318 and its 99.5th 3882.
FILM = np.random.default_rng(0).permutation(np.rint(np.linspace(LOW, HIGH, SIDE * SIDE))).reshape(SIDE, SIDE)
FILM = FILM.astype(np.uint16)


def covered(share: float, side: str) -> tuple[slice, slice]:
    """A strip along one side that takes a share of the picture."""
    lines = round(share * SIDE)
    return {
        "top": np.s_[:lines, :], "bottom": np.s_[SIDE - lines :, :], "left": np.s_[:, :lines],
    }[side]  # fmt: skip


def dressed(marker: float, padding: tuple[float, int], collimator: tuple[float, int]) -> tuple[NDArray[np.uint16], ...]:
    """The film with a marker at 65535, padding at a value, and a noisy collimator around a value; and where it is."""
    values, film = FILM.copy(), np.ones(FILM.shape, bool)
    random = np.random.default_rng(1)
    for place, level in (
        (covered(collimator[0], "left"), np.clip(collimator[1] + random.normal(0, 8, FILM.shape), 0, 65535)),
        (covered(padding[0], "top"), np.full(FILM.shape, padding[1])),
        (covered(marker, "bottom"), np.full(FILM.shape, 65535)),
    ):
        values[place] = level[place]
        film[place] = False
    return values, film


def levels_inside(pixels: NDArray[np.uint8], film: NDArray[np.bool_]) -> int:
    return len(np.unique(pixels[film]))


@pytest.mark.parametrize("marker", [0, 0.006, 0.05])
@pytest.mark.parametrize("padding", [(0, 0), (0.05, 0), (0.05, 65535), (0.4, 65535), (0.4, 0)])
@pytest.mark.parametrize("collimator", [(0, 0), (0.05, 20), (0.05, 5000)])
def test_200_levels_are_left_whatever_lies_beside_the_film(
    marker: float, padding: tuple[float, int], collimator: tuple[float, int]
) -> None:
    values, film = dressed(marker, padding, collimator)
    pixels = window(values)
    assert levels_inside(pixels, film) >= 200
    # The sense is kept, and a film stored the other way round gives the same picture.
    assert np.corrcoef(pixels[film], values[film])[0, 1] > 0.999
    np.testing.assert_allclose(255 - window(65535 - values), pixels, atol=1)


def test_the_old_fault_a_marker_of_six_in_a_thousand() -> None:
    """Between percentiles alone, 65535 would be white and the film 3600 / 65217 of 255 levels: 14."""
    values, film = dressed(0.006, (0, 0), (0, 0))
    low, high = np.percentile(values, (0.5, 99.5))
    assert len(np.unique(np.rint(np.clip((values[film] - low) * (255 / (high - low)), 0, 255)))) < 20
    assert levels_inside(window(values), film) == 256


def test_an_ordinary_film_spans_its_percentiles() -> None:
    assert film_range(FILM) == pytest.approx((318, 3882), abs=1)
    np.testing.assert_array_equal(window(FILM), np.rint(np.clip((FILM - 318.0) * (255 / 3564), 0, 255)))


def test_a_few_bright_bones_on_much_black_are_film() -> None:
    """16 % bone from 500 to 4000 behind a gap, 84 % air of hardly any range: the wider range is the film."""
    values = np.random.default_rng(2).integers(0, 10, (SIDE, SIDE)).astype(np.uint16)
    values[:80] = np.linspace(500, 4000, 80 * SIDE).reshape(80, SIDE)
    low, high = film_range(values)
    assert (low, high) == pytest.approx((0, 3890), abs=30)


def test_soft_edges_of_collimator_and_marker() -> None:
    """A penumbra of 1 % of the pixels from 50 to 2000 and a marker with as many blurred pixels."""
    film = np.rint(np.linspace(2000, 4000, SIDE * SIDE)).reshape(SIDE, SIDE)
    values = film.copy()
    values[:20], values[20:25] = 50, np.linspace(50, 2000, 5 * SIDE).reshape(5, SIDE)
    values[-10:], values[-15:-10] = 65535, np.linspace(4000, 65535, 5 * SIDE).reshape(5, SIDE)
    assert levels_inside(window(values.astype(np.uint16)), np.s_[25:-15]) >= 200


def test_padding_that_is_known_does_not_count_and_is_black() -> None:
    values, film = dressed(0, (0.45, 3000), (0, 0))
    pixels = window(values, ~film)
    assert (pixels[~film] == 0).all()
    np.testing.assert_allclose(pixels[film], window(FILM)[film], atol=1)
    assert (window(values, np.ones(values.shape, bool)) == 0).all()


def test_twelve_and_sixteen_bits_floats_and_signed_numbers_agree() -> None:
    sixteen = (FILM.astype(np.uint32) * 16).astype(np.uint16)
    pixels = window(FILM)
    for values in (sixteen, FILM.astype(np.int16) - 1024, FILM.astype(np.float32) / 4095, FILM.astype(np.uint32) << 20):
        np.testing.assert_allclose(window(values), pixels, atol=1)


def test_large_pictures_are_sampled_in_both_directions() -> None:
    """Every other column black: a stride over the flat picture would see black alone."""
    values = np.tile(np.array([0, 1000], np.uint16), (2000, 1000))
    values += np.arange(2000, dtype=np.uint16)[:, None]
    low, high = film_range(values)
    assert low < 100
    assert high > 1900


def test_flat_pictures() -> None:
    assert (window(np.full((80, 80), 7, np.uint16)) == 0).all()
    nearly = np.full((80, 80), 7, np.uint16)
    nearly[0, 0] = 9
    assert window(nearly)[0, 0] == 255


@pytest.mark.parametrize("marker", [0.006, 0.05])
def test_files_keep_their_levels(marker: float) -> None:
    for padding in ((0.05, 0), (0.05, 65535)):
        values, film = dressed(marker, padding, (0.05, 40))
        pictures = [
            read(data).pixels
            for data in (
                encoded(Image.fromarray(values)), written(values), written(65535 - values, photometric="miniswhite"),
                written(np.repeat(values[..., None], 3, -1), photometric="rgb"), written(values, byteorder=">"),
            )
        ]  # fmt: skip
        for first, second in itertools.pairwise(pictures):
            np.testing.assert_allclose(first, second, atol=1)
        assert levels_inside(pictures[0], film) >= 200


def test_counted_quantiles_are_those_of_sorting() -> None:
    values = np.random.default_rng(7).gamma(3, 4000, (301, 257)).clip(0, 65535).astype(np.uint16)
    assert film_range(values) == film_range(values.astype(np.float64))
    padding = np.random.default_rng(8).random(values.shape) < 0.3
    assert film_range(values, padding) == film_range(values.astype(np.float64), padding)
