"""Colour tables for heat maps: 256 RGB triples each, for the viewer, the overlay and the report alike."""

import numpy as np
from numpy.typing import NDArray

from osteolens.films import overlay

# Anchors of matplotlib's "viridis" (CC0), dark to bright.
_VIRIDIS = (
    (68, 1, 84), (72, 40, 120), (62, 73, 137), (49, 104, 142), (38, 130, 142),
    (31, 158, 137), (53, 183, 121), (110, 206, 88), (181, 222, 43), (253, 231, 37),
)  # fmt: skip

_LEVELS = np.arange(256, dtype=np.uint8)


def _between(anchors: tuple[tuple[int, int, int], ...]) -> NDArray[np.uint8]:
    at = np.linspace(0, 255, len(anchors))
    channels = np.array(anchors, np.float64).T
    table: NDArray[np.uint8] = np.rint(np.stack([np.interp(_LEVELS, at, one) for one in channels], axis=1)).astype(
        np.uint8
    )
    return table


TABLES: dict[str, NDArray[np.uint8]] = {
    "inferno": overlay.colours(_LEVELS),
    "viridis": _between(_VIRIDIS),
    "grey": np.repeat(_LEVELS[:, None], 3, axis=1),
}
"""Name to uint8 [256, 3]; the first is the default."""

DEFAULT = "inferno"
AS_LISTS = {name: table.tolist() for name, table in TABLES.items()}
