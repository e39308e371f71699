"""A film with dark bone is warned about; padding, markers and a second knee do not decide."""

import time

import numpy as np
import pytest
from conftest import encoded, knee_like
from numpy.typing import NDArray

from osteolens.films.read import read
from osteolens.films.sense import INVERTED, brightness_inside, looks_inverted


def one_knee(seed: int) -> NDArray[np.uint8]:
    return knee_like(300, 240, seed)


def two_knees(seed: int) -> NDArray[np.uint8]:
    """Two legs that reach the edges, air between them."""
    return np.hstack([knee_like(300, 240, seed)[:, 40:], knee_like(300, 240, seed + 50)[:, :200]])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("film", [one_knee, two_knees])
def test_an_inverted_film_is_warned_about_and_the_film_is_not(film: object, seed: int) -> None:
    pixels = film(seed)  # type: ignore[operator]
    assert read(encoded(pixels)).warnings == ()
    assert read(encoded(255 - pixels)).warnings == (INVERTED,)
    assert "invert it" in INVERTED


@pytest.mark.parametrize("level", [0, 255])
def test_padding_does_not_decide(level: int) -> None:
    for pixels, inverted in ((one_knee(0), False), (255 - one_knee(0), True)):
        assert looks_inverted(np.pad(pixels, 60, constant_values=level)) == inverted
        assert looks_inverted(np.pad(pixels, ((0, 0), (150, 0)), constant_values=level)) == inverted


def test_a_marker_at_the_edge_does_not_decide() -> None:
    for pixels, inverted in ((one_knee(0), False), (255 - one_knee(0), True)):
        for level in (0, 255):
            marked = pixels.copy()
            marked[20:60, :30] = level
            assert looks_inverted(marked) == inverted


def test_the_number_is_the_difference_in_standard_deviations() -> None:
    """Half of the columns at 90, those in the middle at 190: a standard deviation of 50.

    Of 64 columns the body, 4 to 27 from either edge, has 12 at 90 and 12 at 190, 140 at the mean; the edges are at 90.
    """
    pixels = np.full((128, 128), 90, np.uint8)
    pixels[:, 32:96] = 190
    assert brightness_inside(pixels) == pytest.approx(1.0, abs=0.01)
    assert brightness_inside(255 - pixels) == pytest.approx(-1.0, abs=0.01)


def test_nothing_is_said_of_pictures_without_sides() -> None:
    random = np.random.default_rng(0)
    assert not looks_inverted(random.integers(0, 256, (300, 300)).astype(np.uint8))
    assert not looks_inverted(np.repeat(np.arange(256, dtype=np.uint8)[:, None], 256, 1))
    assert not looks_inverted(np.full((64, 64), 9, np.uint8))


def test_it_costs_less_than_two_milliseconds() -> None:
    pixels = knee_like(1024, 1024)
    looks_inverted(pixels)
    start = time.process_time()
    for _ in range(20):
        looks_inverted(pixels)
    assert (time.process_time() - start) / 20 < 0.002
