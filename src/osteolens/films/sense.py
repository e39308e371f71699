"""Whether a film shows bone darker than its surroundings, which a classifier would answer without a warning.

On an antero-posterior knee film what lies at the left and right edge is air or the edge of the soft tissue, and bone
lies further in, for one knee in the middle as for two beside each other. So the outermost columns are compared with
those from an eighth of the width inwards; the very middle, where two knees have air between them, does not count.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from osteolens.films.prepare import content_box

SHORT_SIDE, SIDE = 128, 64
EDGE, BODY = 2, (4, 28)
"""Columns of `SIDE`, counted from either edge: the outermost 1/32 of the width, and 1/16 to 7/16."""
DARKER_BY = 0.15
"""Standard deviations of the picture. On the half of the films that columns and limit were chosen on the smallest
difference was 0.30 (`benchmarks/inverted_films.py`)."""
INVERTED = "the film looks inverted: bone is darker than its surroundings; invert it if so"


def looks_inverted(pixels: NDArray[np.uint8]) -> bool:
    """Whether bone is darker than what surrounds it, by `brightness_inside`."""
    return brightness_inside(pixels) < -DARKER_BY


def brightness_inside(pixels: NDArray[np.uint8]) -> float:
    """How much brighter the body of a film is than its edges, in standard deviations of the picture.

    Empty borders are left out, so that padding, dark or bright, does not decide. Of the two edges the one that differs
    more counts: the other may lie within the other leg.

    Args:
        pixels: uint8 [H, W].

    Returns:
        About 1 to 3 for a film, as much below 0 for an inverted one, about 0 where neither can be said.
    """
    stride = max(1, min(pixels.shape) // SHORT_SIDE)
    coarse = np.ascontiguousarray(pixels[::stride, ::stride])
    top, left, height, width = content_box(coarse)
    small = cv2.resize(coarse[top : top + height, left : left + width], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    columns = np.sort(small, axis=0)[SIDE // 2 - 1 : SIDE // 2 + 1].mean(axis=0)  # the median, in less time
    first, last = BODY
    body = np.concatenate([columns[first:last], columns[SIDE - last : SIDE - first]]).mean()
    differences = body - columns[:EDGE].mean(), body - columns[-EDGE:].mean()
    return float(max(differences, key=abs) / max(float(small.std()), 1.0))
