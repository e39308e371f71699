"""Writers of TIFFs: tifffile, and by hand what none writes."""

import io
import itertools
import struct
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

HEIGHT, WIDTH = 80, 96
# A ramp from left to right and a step from top to bottom: no turn, shift or swap of bytes leaves it as it is.
PATTERN = (np.linspace(0, 0.75, WIDTH)[None] + 0.25 * (np.arange(HEIGHT)[:, None] >= 30)).astype(np.float64)


def by_hand(
    tags: dict[int, Any], segments: list[bytes], order: str = "<", *, big: bool = False, tiled: bool = False
) -> bytes:
    """A TIFF of one page from its tags (whole numbers as LONGs, bytes as UNDEFINED) and its coded strips or tiles."""
    word, fits = ("Q", 8) if big else ("I", 4)
    mark = b"II" if order == "<" else b"MM"
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8))
    tags = {256: WIDTH, 257: HEIGHT, 259: 1, 262: 1, 277: 1} | tags
    tags |= {324: segments, 325: segments} if tiled else {273: segments, 279: segments}
    size = (8 + 20 * len(tags) + 8) if big else (2 + 12 * len(tags) + 4)
    place, ends = len(head) + size, itertools.accumulate(len(segment) for segment in segments)
    places = [place + end - len(segment) for end, segment in zip(ends, segments, strict=True)]
    tail = b"".join(segments)
    entries = b""
    for tag, value in sorted(tags.items()):
        if tag in (273, 324):
            value = places
        elif tag in (279, 325):
            value = [len(segment) for segment in segments]
        numbers = value if isinstance(value, list | tuple) else [value]
        coded = value if isinstance(value, bytes) else struct.pack(f"{order}{len(numbers)}I", *numbers)
        count = len(coded) if isinstance(value, bytes) else len(numbers)
        entries += struct.pack(f"{order}HH{word}", tag, 7 if isinstance(value, bytes) else 4, count)
        if len(coded) <= fits:
            entries += coded.ljust(fits, b"\0")
        else:
            entries += struct.pack(order + word, place + len(tail))
            tail += coded
    return head + struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + bytes(fits) + tail


def packed(values: NDArray[Any], bits: int) -> bytes:
    """Numbers of few bits, highest bit first, each row filled up to whole bytes."""
    digits = (values[..., None].astype(np.int64) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


def written(values: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, metadata=None, **options)
    return buffer.getvalue()
