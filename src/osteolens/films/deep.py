"""Grey values of a film as they are stored, deeper than 8 bits, for a viewer that sets the window itself.

For eyes alone: what a model gets is what `osteolens.films.read` makes of the file.
"""

import io
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from osteolens.films import read as reading
from osteolens.films import tiff
from osteolens.films.sniff import sniff
from osteolens.films.window import BLOCK_PIXELS, film_range

PADDING = 65535
"""Stored value of pixels that are no film, where there are such pixels."""
MAX_PIXELS = 16_000_000
"""Of a larger film every second (third, ...) row and column is given."""


@dataclass(frozen=True)
class Window:
    """Window and level as DICOM PS3.3 C.11.2.1.2.1 defines them, in the film's values."""

    name: str
    centre: float
    width: float

    @classmethod
    def between(cls, name: str, black: float, white: float, step: float) -> Self:
        """The window that shows `black` and what is below as black, `white` and what is above as white."""
        return cls(name, (black + white + step) / 2, white - black + step)


@dataclass(frozen=True)
class Deep:
    """A film of more than 8 bits.

    Attributes:
        stored: uint16 [H, W]; the film's value is `offset + step * stored`.
        offset: Value of a stored 0.
        step: Between two neighbouring values.
        bits: That the file has for a pixel.
        inverted: Low values are bright.
        padded: Pixels of `PADDING` are no film.
        windows: The one that the film is shown with at first, then the header's others.
    """

    stored: NDArray[np.uint16]
    offset: float
    step: float
    bits: int
    inverted: bool
    padded: bool
    windows: tuple[Window, ...]


def read_deep(data: bytes) -> Deep | None:
    """Grey values of a film that `osteolens.films.read` has read before; None for one of at most 8 bits.

    Raises:
        InputError: As `osteolens.films.read.read`.
    """
    kind = sniff(data)
    reader = {"DICOM": _dicom, "PNG": _png, "TIFF": _tiff}.get(kind)
    film = reader(data) if reader else None
    every = 1 if film is None else int(np.ceil(np.sqrt(film.stored.size / MAX_PIXELS)))
    return film if film is None or every == 1 else Deep(**vars(film) | {"stored": film.stored[::every, ::every]})


def _dicom(data: bytes) -> Deep | None:
    from osteolens.films import dicom, dicom_display, dicom_pixels  # pydicom is loaded by a DICOM film

    with dicom.unchecked():
        film = dicom.open_film(data)
        return dicom_display.deep(film, dicom_pixels.stored_values(film))


def _png(data: bytes) -> Deep | None:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if ";16" not in str(getattr(image, "tile", "")) and not image.mode.startswith("I"):
            return None
        if image.mode.startswith("I"):
            image.load()
            values: NDArray[Any] = np.asarray(image)
        else:
            values = reading.deep_luminance(data)
        return _quantised(reading.upright(values, image, ())[0], None, 16)


def _tiff(data: bytes) -> Deep | None:
    from osteolens.films import tiff_pixels  # its codecs are loaded when a TIFF arrives

    page = tiff.largest_page(data)
    if page.bits <= 8 and page.sample_format == tiff.UNSIGNED:
        return None
    values: NDArray[Any]
    values, padding = tiff_pixels.deep(data, page)
    turned = None if padding is None else reading.oriented(padding, page.orientation)
    return _quantised(reading.oriented(values, page.orientation), turned, page.bits)


def _quantised(values: NDArray[Any], padding: NDArray[np.bool_] | None, bits: int) -> Deep:
    """Values as they are if whole numbers within 16 bits, else in 65,535 steps from the lowest to the highest."""
    low, high = film_range(values, padding)
    film: NDArray[Any] = values if padding is None else values[~padding]
    offset, top = (float(film.min()), float(film.max())) if film.size else (0.0, 0.0)
    whole = values.dtype.kind in "ui" and top - offset < PADDING
    step = 1.0 if whole else (top - offset) / (PADDING - 1) or 1.0
    stored = np.empty(values.shape, np.uint16)
    rows = max(1, BLOCK_PIXELS // values.shape[1])
    for start in range(0, len(values), rows):  # in blocks, as the numbers take four times the room
        block = values[start : start + rows].astype(np.float64)
        if padding is not None:
            block[padding[start : start + rows]] = offset
        stored[start : start + rows] = np.rint((block - offset) / step)
    if padding is not None:
        stored[padding] = PADDING
    windows = (Window.between("film's range", low, high, step),)
    return Deep(stored, offset, step, bits, inverted=False, padded=padding is not None, windows=windows)
