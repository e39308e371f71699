"""Whether int8 draws the heat maps that fp32 draws: where they are bright, and where brightest."""

import numpy as np
from numpy.typing import NDArray

from osteolens.evaluation.int8.ranges import Floats
from osteolens.evaluation.maps.peaks import usual_peaks
from osteolens.evaluation.maps.regions import enlarged

TOP = 0.2
"""Share of a map that counts as its bright part."""
OVERLAP = 0.85
"""Least intersection over union of the bright parts in fp32 and in int8."""
COUNTS_FROM = 0.1
"""Share of a class's usual peak below which a map is not counted: a weaker one is drawn so faint that it hardly shows,
and rounding may move it.
"""
MIN_HELD = 0.95
SIDE = 112
"""Maps are compared as they are drawn, enlarged; this many pixels high and wide are enough."""
RULE = (
    f"A heat map holds if its brightest {TOP:.0%} in fp32 and in int8 overlap by {OVERLAP} or more (intersection over "
    "union, maps enlarged as they are drawn) and its brightest cell moves by one cell at most. The maps of every class "
    f"count, of all films of the run, drawn by the shipped graphs, whose peak in fp32 is at least {COUNTS_FROM} of the "
    f"usual one (the median over the films of that label); int8 is refused if fewer than {MIN_HELD:.0%} of them hold."
)

Flags = NDArray[np.bool_]


def held(exact: Floats, int8: Floats, truth: NDArray[np.int64]) -> Flags:
    """Whether each map that counts holds, by `RULE`.

    Args:
        exact: [N, K, h, w], of fp32.
        int8: The same films.
        truth: int64 [N], the films' labels.

    Returns:
        bool, one for each film and class that counts.
    """
    peaks = exact.max(axis=(2, 3))
    labels = [str(k) for k in range(exact.shape[1])]
    usual = usual_peaks(labels, truth, peaks)
    limits = np.array([COUNTS_FROM * usual.get(label, np.inf) for label in labels])
    return np.array(
        [_holds(exact[place], int8[place]) for place in zip(*np.nonzero(peaks >= limits), strict=True)], bool
    )


def _holds(one: Floats, other: Floats) -> bool:
    """Two maps [h, w]."""
    first, second = (np.array(np.unravel_index(values.argmax(), values.shape)) for values in (one, other))
    if np.abs(first - second).max() > 1:
        return False
    bright = [_brightest(values) for values in (one, other)]
    return bool((bright[0] & bright[1]).sum() >= OVERLAP * (bright[0] | bright[1]).sum())


def _brightest(values: Floats) -> Flags:
    large = enlarged(values.astype(np.float32), (SIDE, SIDE))
    return np.asarray(large > np.quantile(large, 1 - TOP))
