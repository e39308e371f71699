"""Colour tables for heat maps: 256 RGB triples each, for the viewer, the overlay and the report alike."""

import numpy as np
from numpy.typing import NDArray

from osteolens.films import overlay

_LEVELS = np.arange(256, dtype=np.uint8)

TABLES: dict[str, NDArray[np.uint8]] = {
    "inferno": overlay.colours(_LEVELS, "inferno"),
    "viridis": overlay.colours(_LEVELS, "viridis"),
    "grey": np.repeat(_LEVELS[:, None], 3, axis=1),
}
"""Name to uint8 [256, 3]; the first is the default. The colours are those of the command line's overlays."""

DEFAULT = "inferno"
AS_HEX = {name: table.tobytes().hex() for name, table in TABLES.items()}
"""Six digits for each colour: half of what lists of numbers take on each page."""
