"""A step of brightness that only a damaged JPEG has.

A JPEG stores the mean of each block of 8 x 8 as the difference from the block before. Where damage changes one of them
and the decoder falls into step again, it has nothing to complain of, but everything that follows is brighter or darker
by one amount: from the damaged block to the right edge, and from the left edge in the row of blocks below. No edge in a
film makes such a staircase on the grid of the blocks.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK = 8
NOTABLE_STEP = 3.5  # grey levels in a film of 1024 pixels across; whole films stay below
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
    sums = np.cumsum(_jumps(pixels, rows, columns), axis=1)
    blocks = np.arange(_SHORTEST, columns - _SHORTEST + 1, dtype=np.float32)
    before = sums[:, _SHORTEST - 1 : columns - _SHORTEST]
    left = before / blocks
    right = (sums[:, -1:] - before) / (columns - blocks)
    # From the damage to the right edge, then from the left edge in the next row: one jump. Beside them: none.
    begins, goes_on = right[:-1], left[1:]
    inside = np.maximum(np.minimum(begins, goes_on), -np.maximum(begins, goes_on))
    outside = np.maximum(np.abs(left[:-1]), np.abs(right[1:]))
    return float((inside - outside).max() / (NOTABLE_STEP * (1024 / width) ** 0.75))


def _jumps(pixels: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.float32]:
    """How far the grey jumps from each block to the one below, in grey levels."""
    inner = pixels[BLOCK - 1 : rows * BLOCK - 1, : columns * BLOCK]
    above, below = (inner.reshape(rows - 1, BLOCK, -1)[:, place] for place in range(2))  # beside each border
    jumps = (below.astype(np.float32) - above).reshape(-1, BLOCK) @ np.ones(BLOCK, np.float32)
    return np.clip(jumps.reshape(rows - 1, columns) / BLOCK, -_HIGHEST, _HIGHEST)
