"""A step of brightness that only a damaged JPEG has.

A JPEG stores the mean of each block of 8 x 8 as the difference from the block before. Where damage changes one of them
and the decoder falls into step again, it has nothing to complain of, but everything that follows is brighter or darker
by one amount: from the damaged block to the right edge, and from the left edge in the row of blocks below. No edge in a
film makes such a staircase on the grid of the blocks.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
NOTABLE_STEP = 3.0  # grey levels in a film of 1024 pixels across; whole films of that size stay below
_SHORTEST = 4  # blocks on either side of the damaged place
_HIGHEST = 16.0  # grey levels, so that a bright edge does not count for many blocks


def step(pixels: NDArray[np.uint8]) -> float:
    """The largest step that goes on from one row of blocks into the next, as a multiple of a notable one.

    Args:
        pixels: [H, W] as a JPEG stores them, before orientation.

    Returns:
        0 or less without a step; above 1 the file is damaged, or a very unusual film.
    """
    height, width = pixels.shape
    rows, columns = height // BLOCK, width // BLOCK
    if rows < 3 or columns < 2 * _SHORTEST:
        return 0.0
    jumps = _jumps(pixels, rows, columns)
    sums = np.cumsum(jumps, axis=1)
    split = np.arange(_SHORTEST, columns - _SHORTEST + 1)
    left = sums[:, split - 1] / split
    right = (sums[:, -1:] - sums[:, split - 1]) / (columns - split)
    # From the damage to the right edge, then from the left edge in the next row: one jump. Beside them: none.
    begins, goes_on = right[:-1], left[1:]
    inside = np.where(begins * goes_on > 0, np.minimum(abs(begins), abs(goes_on)), 0)
    outside = np.maximum(abs(left[:-1]), abs(right[1:]))
    return float((inside - outside).max() / (NOTABLE_STEP * np.sqrt(1024 / width)))


def _jumps(pixels: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.float32]:
    """How far the grey jumps from each block to the one below, beyond its slope; in grey levels."""
    lines = pixels[BLOCK - 2 :, : columns * BLOCK]  # from here on, the two lines on either side of each border
    ones = np.ones(BLOCK, np.float32)
    before, above, below, after = (
        lines[place::BLOCK][: rows - 1].astype(np.float32).reshape(-1, columns, BLOCK) @ ones for place in range(4)
    )
    jumps = (1.5 * (below - above) - 0.5 * (after - before)) / BLOCK
    return np.clip(jumps, -_HIGHEST, _HIGHEST).astype(np.float32)
