"""Grey values of deep films, by hand."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.dicom import dataset, save

from osteolens.films.deep import MAX_PIXELS, PADDING, Deep, read_deep
from osteolens.films.read import read

RAMP = np.arange(1000, 1000 + 80 * 64, dtype=np.uint16).reshape(64, 80) // 2
"""Values from 500 to 3059."""


def deep_dicom(pixels: NDArray[np.integer], bits: int, **elements: object) -> Deep:
    film = read_deep(save(dataset(pixels, bits, **elements)))
    assert film is not None
    return film


def values(film: Deep) -> NDArray[np.float64]:
    return film.offset + film.step * film.stored


def through(film: Deep) -> NDArray[np.uint8]:
    """The film through its first window, by the standard's formula (PS3.3 C.11.2.1.2.1) in steps of the film."""
    window = film.windows[0]
    share = (values(film) - (window.centre - film.step / 2)) / (window.width - film.step) + 0.5
    grey = np.rint(255 * np.clip(1 - share if film.inverted else share, 0, 1))
    return np.where(film.padded & (film.stored == PADDING), 0, grey).astype(np.uint8)


def test_stored_values_and_the_header_s_windows_come_as_they_are() -> None:
    film = deep_dicom(RAMP, 12, WindowCenter=[1500, 900], WindowWidth=[1000, 300])
    assert (film.offset, film.step, film.bits, film.inverted, film.padded) == (0, 1, 12, False, False)
    assert np.array_equal(values(film), RAMP)
    assert [(window.name, window.centre, window.width) for window in film.windows] == [
        ("header", 1500, 1000), ("header 2", 900, 300),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("elements", "bits"),
    [
        ({"WindowCenter": 1500, "WindowWidth": 1000}, 12),
        ({"WindowCenter": 1500, "WindowWidth": 1000, "VOILUTFunction": "LINEAR_EXACT"}, 12),
        ({"WindowCenter": 1500, "WindowWidth": 1000, "PhotometricInterpretation": "MONOCHROME1"}, 12),
        ({"WindowCenter": 300, "WindowWidth": 400, "RescaleSlope": 0.25, "RescaleIntercept": -10}, 16),
        ({"WindowCenter": 1500, "WindowWidth": 1000, "PixelPaddingValue": 3059}, 12),
        ({"PixelPaddingValue": 3059}, 12),
        ({}, 16),
    ],
)
def test_the_first_window_shows_the_film_as_read_does(elements: dict[str, object], bits: int) -> None:
    """At most one grey level apart, as one of them rounds a table and the other a window's ends."""
    data = save(dataset(RAMP, bits, **elements))
    film = read_deep(data)
    assert film is not None
    assert np.abs(through(film).astype(int) - read(data).pixels).max() <= 1


def test_values_behind_a_slope_are_exact_and_padding_has_a_value_of_its_own() -> None:
    film = deep_dicom(RAMP, 16, RescaleSlope=0.25, RescaleIntercept=-10, PixelPaddingValue=500)
    assert film.step == 0.25
    assert film.stored[0, 0] == PADDING  # 500, the lowest
    assert values(film)[0, 2] == 501 * 0.25 - 10
    assert values(film)[-1, -1] == 3059 * 0.25 - 10


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_deep_pictures_keep_their_values(kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RAMP).save(buffer, kind)
    film = read_deep(buffer.getvalue())
    assert film is not None
    assert np.array_equal(values(film), RAMP)
    assert np.abs(through(film).astype(int) - read(buffer.getvalue()).pixels).max() <= 1


def test_shallow_pictures_have_none_and_large_ones_are_thinned() -> None:
    for kind in ("PNG", "JPEG", "TIFF", "BMP"):
        buffer = io.BytesIO()
        Image.fromarray((RAMP % 256).astype(np.uint8)).save(buffer, kind)
        assert read_deep(buffer.getvalue()) is None
    assert read_deep(save(dataset((RAMP % 256).astype(np.uint8)))) is None
    large = np.add.outer(np.arange(4200), np.arange(4000)).astype(np.uint16)
    film = deep_dicom(large, 16)
    assert large.size > MAX_PIXELS
    assert np.array_equal(values(film), large[::2, ::2])
