"""Stored values of a DICOM film -> one grey picture, as a workstation shows it.

One rule makes 8 bits of a grey film, however it is stored (PS3.3 is part 3 of the DICOM standard):

1. Stored values go through the Modality LUT, or the rescale slope and intercept (PS3.3 C.11.1).
2. They go through the first VOI LUT, else the first window, linear, linear-exact or sigmoid (PS3.3 C.11.2). A film that
   has neither, or whose window shows nothing of it, is shown over its own range (`osteolens.films.window`); one of at
   most 8 bits stays as it is, as an 8-bit PNG does.
3. MONOCHROME1, or a Presentation LUT Shape of INVERSE, is inverted (PS3.3 C.7.6.3.1.2 and C.11.6).
4. Pixel padding becomes black (PS3.3 C.7.5.1.1.2).

Each step depends on a pixel's value alone, so they are worked out once per possible value, not per pixel. Colour
becomes its ITU-R BT.601 luminance.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from osteolens.errors import UnreadableImage
from osteolens.films.deep import PADDING, Deep, Window
from osteolens.films.dicom import DAMAGED, FAULTS, GREY, integer
from osteolens.films.window import range_of_counts, strides

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_NO_VIEW = "the window in the DICOM header shows nothing of the film, so the film's own range was used"


def grey(film: Dataset, values: NDArray[np.integer]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The picture of a film, and warnings.

    Args:
        film: From `osteolens.films.dicom.open_film`; its size was checked.
        values: Its `stored_values`.

    Returns:
        uint8 [H, W].

    Raises:
        UnreadableImage: A lookup table or window is broken.
    """
    try:
        if film.PhotometricInterpretation not in GREY:
            return _luminance(film, values), ()
        return _display(film, values)
    except FAULTS as error:
        raise UnreadableImage("a lookup table or window in the DICOM header is damaged", DAMAGED) from error


def _luminance(film: Dataset, values: NDArray[np.integer]) -> NDArray[np.uint8]:
    bits = integer(film, "BitsStored")
    if film.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, film)[..., :3]
        bits = values.dtype.itemsize * 8
    luminance = values.astype(np.float32) @ _LUMINANCE
    grey: NDArray[np.uint8] = np.rint(luminance * np.float32(255 / (2**bits - 1))).astype(np.uint8)
    return grey


def deep(film: Dataset, values: NDArray[np.integer]) -> Deep | None:
    """The film's levels behind the Modality LUT and its windows; None for one of at most 8 bits, or in colour.

    Args:
        film: From `osteolens.films.dicom.open_film`; its size was checked.
        values: Its `stored_values`.

    Raises:
        UnreadableImage: A lookup table or window is broken.
    """
    bits = integer(film, "BitsStored")
    if film.PhotometricInterpretation not in GREY or bits <= 8:
        return None
    try:
        scale = _scale(film, values)
        shown, _ = _shown(film, scale)
        step = 1.0 if film.get("ModalityLUTSequence") else abs(float(film.get("RescaleSlope", 1))) or 1.0
        windows = _linear_windows(film, step) if shown is not None else ()
    except FAULTS as error:
        raise UnreadableImage("a lookup table or window in the DICOM header is damaged", DAMAGED) from error
    levels, padding = scale.levels, scale.padding
    offset = float(levels[~padding].min(initial=np.inf)) if not padding.all() else 0.0
    table = np.clip(np.rint((levels - offset) / step), 0, PADDING - padding.any()).astype(np.uint16)
    table[padding] = PADDING
    return Deep(
        stored=np.resize(table, _possible(scale.index))[scale.index],
        offset=offset,
        step=step,
        bits=bits,
        inverted=_is_inverted(film),
        padded=bool(padding.any()),
        windows=windows or (Window.between("film's range", *_range(scale), step),),
    )


@dataclass(frozen=True)
class _Scale:
    """What the pixels may hold.

    Attributes:
        index: Unsigned [H, W]: which of the values a pixel has, beside bits that are not stored.
        levels: float64 [2 ** bits]: each value behind the Modality LUT.
        counts: How often each occurs in a sample, without padding.
        padding: Which are no film.
        bits: Bits stored.
    """

    index: NDArray[np.unsignedinteger]
    levels: NDArray[np.float64]
    counts: NDArray[np.integer]
    padding: NDArray[np.bool_]
    bits: int


def _scale(film: Dataset, values: NDArray[np.integer]) -> _Scale:
    bits = integer(film, "BitsStored")
    highest = 2**bits - 1
    # A compressed picture may have fewer bits than the header says.
    index = values.astype(np.uint16) if 8 * values.dtype.itemsize < bits else values.view(f"u{values.dtype.itemsize}")
    stored = np.arange(highest + 1)
    if integer(film, "PixelRepresentation", 0):
        stored = np.where(stored > highest // 2, stored - highest - 1, stored)  # two's complement, PS3.5 6.2
    padding = _padding(film, stored)
    return _Scale(index, _modality(film, stored), _counts(index, highest + 1) * ~padding, padding, bits)


def _shown(film: Dataset, scale: _Scale) -> tuple[NDArray[np.float64] | None, tuple[str, ...]]:
    """Grey by the header's view, None where that is missing or shows nothing; and warnings."""
    shown, seen = _view(film, scale.levels), scale.counts > 0
    if shown is not None and _blank(shown[seen]) and not _blank(scale.levels[seen]):
        return None, (_NO_VIEW,)
    return shown, ()


def _range(scale: _Scale) -> tuple[float, float]:
    """Lowest and highest level of the film itself."""
    order = np.argsort(scale.levels)
    return range_of_counts(scale.levels[order], scale.counts[order])


def _display(film: Dataset, values: NDArray[np.integer]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    scale = _scale(film, values)
    levels = scale.levels
    shown, warnings = _shown(film, scale)
    if shown is None and scale.bits == 8 and np.array_equal(levels, np.arange(256)):
        shown = levels
    elif shown is None:
        low, high = _range(scale)
        shown = np.clip((levels - low) * (255 / (high - low) if high > low else 0.0), 0, 255)
    if _is_inverted(film):
        shown = 255 - shown
    table = np.rint(shown).astype(np.uint8)
    table[scale.padding] = 0
    grey = cv2.LUT(scale.index, np.resize(table, _possible(scale.index)))
    return grey.astype(np.uint8, copy=False), warnings


def _is_inverted(film: Dataset) -> bool:
    return bool(film.PhotometricInterpretation == "MONOCHROME1") or bool(film.get("PresentationLUTShape") == "INVERSE")


def _linear_windows(film: Dataset, step: float) -> tuple[Window, ...]:
    """The header's windows, if they are straight lines and no lookup table comes before them.

    They have no names here: what the header calls them is free text, which may hold a name.
    """
    function = str(film.get("VOILUTFunction", "LINEAR")).strip().upper()
    if film.get("VOILUTSequence") or function == "SIGMOID":
        return ()
    half = 0.5 * (function != "LINEAR_EXACT")  # C.11.2.1.2.1 and C.11.2.1.3.2
    pairs = zip(_numbers(film.get("WindowCenter")), _numbers(film.get("WindowWidth")), strict=False)
    ends = [(centre - half, width / 2 - half) for centre, width in pairs if width > 2 * half]
    return tuple(
        Window.between(f"header {number}" if number > 1 else "header", middle - reach, middle + reach, step)
        for number, (middle, reach) in enumerate(ends, 1)
    )


def _blank(shown: NDArray[np.float64]) -> bool:
    return not shown.size or np.ptp(np.rint(shown)) == 0


def _counts(index: NDArray[np.unsignedinteger], values: int) -> NDArray[np.integer]:
    """How often each of the stored values occurs in a sample of the pixels, whatever their other bits are."""
    counts = np.bincount(index[strides(index.shape)].ravel(), minlength=_possible(index))
    return np.asarray(counts.reshape(-1, values).sum(axis=0))


def _possible(index: NDArray[np.unsignedinteger]) -> int:
    return int(np.iinfo(index.dtype).max) + 1


def _padding(film: Dataset, stored: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which stored values mark that a pixel is no part of the film."""
    first = film.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, bool)
    last = film.get("PixelPaddingRangeLimit", first)
    low, high = sorted((int(first), int(last)))
    return (stored >= low) & (stored <= high)


def _modality(film: Dataset, stored: NDArray[np.integer]) -> NDArray[np.float64]:
    tables = film.get("ModalityLUTSequence")
    if tables:
        return _look_up(film, stored.astype(np.float64), tables[0])[0]
    return stored.astype(np.float64) * float(film.get("RescaleSlope", 1)) + float(film.get("RescaleIntercept", 0))


def _view(film: Dataset, levels: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Grey 0 to 255 by the first VOI LUT or window of the header; None without one."""
    tables = film.get("VOILUTSequence")
    if tables:
        values, bits = _look_up(film, levels, tables[0])
        return np.asarray(values * (255 / (2**bits - 1)), np.float64)
    centre, width = _first(film.get("WindowCenter")), _first(film.get("WindowWidth"))
    if centre is None or width is None or width <= 0:
        return None
    function = str(film.get("VOILUTFunction", "LINEAR")).strip().upper()
    if function == "SIGMOID":  # C.11.2.1.3.1
        shown = 255 / (1 + np.exp(np.clip(-4 * (levels - centre) / width, -700, 700)))
    elif function == "LINEAR_EXACT":  # C.11.2.1.3.2
        shown = np.clip((levels - centre) / width + 0.5, 0, 1) * 255
    else:  # C.11.2.1.2.1
        shown = np.clip((levels - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5, 0, 1) * 255
    return np.asarray(shown, np.float64)


def _first(value: object) -> float | None:
    """The first of one or several numbers; None for an empty element."""
    return next(iter(_numbers(value)), None)


def _numbers(value: object) -> list[float]:
    """One or several numbers of an element."""
    numbers = value if isinstance(value, list) or hasattr(value, "append") else [value]
    return [float(number) for number in numbers if number is not None]  # type: ignore[attr-defined]


def _look_up(film: Dataset, levels: NDArray[np.float64], item: Dataset) -> tuple[NDArray[np.float64], int]:
    """Values through a lookup table (C.11.1.1.1), and the bits of its entries; beyond its ends its end values count."""
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        word = "<u2" if film.file_meta.TransferSyntaxUID.is_little_endian else ">u2"
        data = np.frombuffer(data, np.uint8 if len(data) == (count or 2**16) else word)
    entries = np.asarray(data, np.float64)[: count or 2**16]
    if len(entries) < (count or 2**16) or not 8 <= bits <= 16:
        raise ValueError("the table is shorter than its descriptor says")
    return entries[np.clip(np.rint(levels - first), 0, len(entries) - 1).astype(np.int64)], bits
