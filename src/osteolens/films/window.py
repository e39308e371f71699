"""The only rule by which deep grey values (10, 12, 16, 32 bits, floats) become 8 bits.

A film's range is what its pixels use, without what is no film: letters and markers at the top of the scale, padding at
either end, collimated borders. Such pixels are few, or all of one value, and a gap in the grey values sets them apart.

1. The grey values at 0.5 %, 1 %, ... 99.5 % of the pixels stand for the picture, so that hot pixels do not count.
2. Levels at either end are dropped where the step to them is wider than an eighth of the range of the rest, their own
   range is narrower than that of the rest, and they are at most 16 % of the pixels (marker, padding and collimator of
   5 % each) or, up to half of them, all of one value (a wide frame). This is repeated until nothing is dropped.
3. The lowest level that is left becomes 0, the highest 255, and what lies beyond is cut off there.

An eighth at either end that just stays costs a fifth of the grey levels: the film keeps at least 255 / 1.25 = 204.
"""

import math

import numpy as np
from numpy.typing import NDArray

from osteolens.errors import UnusableImage

QUANTILES = np.linspace(0.005, 0.995, 199)
GAP = 1 / 8
OUTLYING_SHARE = 0.16
SAMPLE_PIXELS = 1_000_000
BLOCK_PIXELS = 1_000_000

Numbers = NDArray[np.integer] | NDArray[np.floating]


def window(values: Numbers, padding: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Stretch deep grey values to 8 bits over the film's own range.

    Args:
        values: [H, W], any real type.
        padding: bool [H, W], True where a pixel is known to be no film; such pixels become 0.

    Returns:
        uint8 [H, W]; all 0 where there is only one value.

    Raises:
        UnusableImage: A value outside the padding is not finite.
    """
    if padding is not None and padding.all():
        return np.zeros(values.shape, np.uint8)
    low, high = film_range(values, padding)
    windowed = np.zeros(values.shape, np.uint8)
    rows = max(1, BLOCK_PIXELS // values.shape[1])
    scale = 255.0 / (high - low) if high > low else 0.0
    for start in range(0, len(values), rows):  # in blocks, which a 64-megapixel film needs to stay within memory
        block = values[start : start + rows].astype(np.float64)
        if padding is not None:
            block[padding[start : start + rows]] = low
        if not np.isfinite(block).all():
            raise UnusableImage("the picture holds values that are not finite", "save it as 16-bit grey PNG or TIFF")
        windowed[start : start + rows] = np.rint(np.clip((block - low) * scale, 0, 255))
    return windowed


def film_range(values: Numbers, padding: NDArray[np.bool_] | None = None) -> tuple[float, float]:
    """Lowest and highest grey value of the film itself, by the rule above.

    Args:
        values: [H, W], any real type; of large pictures every n-th row and column is looked at.
        padding: As `window` takes it; at least one pixel must be False.
    """
    every = strides(values.shape)
    sample = values[every].astype(np.float64) if values.dtype != np.uint16 else values[every]
    film = sample[~padding[every]] if padding is not None else sample.ravel()
    if film.dtype == np.uint16:  # counting takes a fifteenth of the time of sorting
        return range_of_counts(np.arange(2.0**16), np.bincount(film, minlength=2**16))
    film = film[np.isfinite(film)]
    if film.size == 0:
        return 0.0, 0.0
    return _without_outliers(np.quantile(film, QUANTILES), float(film.min()), float(film.max()))


def range_of_counts(values: NDArray[np.float64], counts: NDArray[np.integer]) -> tuple[float, float]:
    """`film_range` of a film that holds each of some ascending values so many times."""
    present = np.flatnonzero(counts)
    if present.size == 0:
        return 0.0, 0.0
    ends = np.cumsum(counts)
    places = QUANTILES * (ends[-1] - 1)
    lower = np.floor(places)
    below, above = (
        values[np.searchsorted(ends, np.minimum(place, ends[-1] - 1), side="right")] for place in (lower, lower + 1)
    )
    share = places - lower
    step = above - below
    # As numpy.quantile interpolates, to the last bit.
    levels = np.where(share < 0.5, below + step * share, above - step * (1 - share))
    return _without_outliers(levels, float(values[present[0]]), float(values[present[-1]]))


def strides(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Every n-th row and column, so that about `SAMPLE_PIXELS` are left of a large film."""
    stride = math.isqrt(max(math.prod(shape) // SAMPLE_PIXELS, 1))
    return slice(None, None, stride), slice(None, None, stride)


def _without_outliers(levels: NDArray[np.float64], lowest: float, highest: float) -> tuple[float, float]:
    """The range of ascending levels after step 2 of the rule."""
    if levels[0] == levels[-1]:  # nearly all of one value: stretch what there is
        return lowest, highest
    while True:
        above, below = _outlying(levels), _outlying(-levels[::-1])
        if not above and not below:
            return float(levels[0]), float(levels[-1])
        levels = levels[below : len(levels) - above]


def _outlying(levels: NDArray[np.float64]) -> int:
    """Number of the topmost of some ascending levels that are set apart from the rest."""
    few = OUTLYING_SHARE * len(levels)
    for count in range(1, len(levels) // 2):
        highest, next_level = levels[-count - 1], levels[-count]
        rest, outlying = highest - levels[0], levels[-1] - next_level
        if next_level - highest > GAP * rest and outlying < rest and (count <= few or outlying == 0):
            return count
    return 0
