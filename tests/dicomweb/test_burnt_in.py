"""Text in a film's borders is blacked out, and nothing else is."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from osteolens.dicomweb.burnt_in import black_out, text_boxes
from osteolens.films.sample import drawn_knee

TEXT = "Quendolin 9081726354"


@pytest.fixture(scope="module")
def film() -> NDArray[np.uint8]:
    return drawn_knee(1200, 1000, 3)


def burnt(
    film: NDArray[np.uint8], text: str, place: tuple[int, int], size: int, level: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The film with a text, and which pixels are its letters."""
    letters = Image.new("L", film.shape[::-1])
    ImageDraw.Draw(letters).text(place, text, 255, font=ImageFont.load_default(size))
    mask = np.asarray(letters) > 0
    return np.where(mask, np.uint8(level), film), mask


@pytest.mark.parametrize("size", [16, 24, 40])
@pytest.mark.parametrize("place", [(20, 20), (500, 20), (20, 1120), (500, 1120)])
def test_a_line_of_text_in_a_border_is_blacked_out(film: NDArray[np.uint8], place: tuple[int, int], size: int) -> None:
    shown, letters = burnt(film, TEXT, place, size, 255)
    boxes = text_boxes(shown)
    cleaned = black_out(shown, shown, boxes)
    assert not (cleaned[letters] > film.min()).any()
    changed = cleaned != shown
    assert changed.mean() < 0.15
    assert np.array_equal(cleaned[300:900, 300:700], film[300:900, 300:700])


def test_dark_text_on_a_bright_ground_is_blacked_out_with_its_ground(film: NDArray[np.uint8]) -> None:
    ground = film.copy()
    ground[:80] = 220
    shown, letters = burnt(ground, TEXT, (30, 20), 30, 10)
    cleaned = black_out(shown, shown, text_boxes(shown))
    rows, columns = np.nonzero(letters)
    assert (cleaned[rows.min() : rows.max(), columns.min() : columns.max()] == shown.min()).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_film_without_text_stays_as_it_is(seed: int) -> None:
    assert text_boxes(drawn_knee(1200, 1000, seed)) == []


def test_a_side_marker_stays(film: NDArray[np.uint8]) -> None:
    shown, _ = burnt(film, "R", (60, 60), 60, 255)
    assert text_boxes(shown) == []


def test_black_is_the_films_own_darkest_value_however_it_is_stored(film: NDArray[np.uint8]) -> None:
    shown, letters = burnt(film, TEXT, (20, 20), 24, 255)
    stored = 4095 - shown.astype(np.uint16) * 16  # as in MONOCHROME1
    cleaned = black_out(stored, shown, text_boxes(shown))
    assert (cleaned[letters] == stored.max()).all()
