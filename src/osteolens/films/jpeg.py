"""JPEG bytes -> luminance, or a refusal that repeats the decoder's own complaint.

libjpeg-turbo decodes damaged data as well as it can and only warns. OpenCV prints these warnings, Pillow drops them;
`simplejpeg` raises them. What libjpeg does not warn of (scans that are missing) is counted from the markers here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from osteolens.errors import TooCostly, UnreadableImage

MAX_SCANS = 100
MAX_SEGMENTS = 1000
MAX_FILL_BYTES = 1000

_DAMAGED = "send the original file again: this copy was cut or changed on its way"
SAVE_AGAIN = "save it as a baseline JPEG or as a PNG"
_EOI, _SOS, _APP0, _APP1 = 0xD9, 0xDA, 0xE0, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}  # markers without a length
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # written without ^, which would take a third longer
_WHOLE_SPECTRUM = b"\x00\x3f\x00"
_NOT_SENT = 99

# Nanoseconds of CPU, measured on noise and rounded up.
_NS_PER_PIXEL = 10.0
_COLOUR_COST = 0.4
_NS_PER_BYTE = 20.0
_NS_PER_BYTE_PROGRESSIVE = 60.0
_NS_PER_PIXEL_AND_SCAN = 1.0


@dataclass(frozen=True)
class Scan:
    """A scan's header (ITU-T T.81, B.2.3).

    Attributes:
        spectrum: Place in the file of the three bytes that say which coefficients follow, and how exactly.
        components: Numbers of the components.
        first, last: Coefficients 0 to 63, in zigzag order.
        low_bit: Bits of the coefficients that are still to come in later scans.
    """

    spectrum: int
    components: tuple[int, ...]
    first: int
    last: int
    low_bit: int


@dataclass(frozen=True)
class Layout:
    """What the markers of a JPEG say, up to its end mark.

    Attributes:
        progressive: Whether the coefficients come in several scans.
        width, height: Pixels.
        shares: Samples per pixel of each component, by its number.
        scans: In the order of the file.
        jfif: Place of the JFIF revision in the file; 0 without one.
        size: Bytes up to the end mark.
        described: Whether it holds EXIF or XMP data, which may say that it has to be turned.
    """

    progressive: bool
    width: int
    height: int
    shares: dict[int, float]
    scans: tuple[Scan, ...]
    jfif: int
    size: int
    described: bool

    @cached_property
    def seconds(self) -> float:
        """Predicted CPU seconds of decoding."""
        pixels = self.width * self.height
        colour = sum(self.shares.values()) - 1  # decoded no further than to its coefficients, except of four inks
        work = pixels * _NS_PER_PIXEL * (1 + colour * (1 if len(self.shares) == 4 else _COLOUR_COST))
        if not self.progressive:
            return (work + self.size * _NS_PER_BYTE) / 1e9
        scanned = sum(self.shares.get(number, 0) for scan in self.scans for number in scan.components)
        work += pixels * scanned * _NS_PER_PIXEL_AND_SCAN
        return (work + self.size * _NS_PER_BYTE_PROGRESSIVE) / 1e9


def examine(data: bytes) -> Layout:
    """Read the markers alone, in linear time, before any decoder sees the file.

    Raises:
        TooCostly: More scans, segments or fill bytes than any film has.
        UnreadableImage: The markers do not follow each other, or a scan is missing.
    """
    frame: tuple[int, bytes] | None = None
    scans: list[Scan] = []
    jfif = end = 0
    described = False
    for marker, start, end in _segments(data):
        if marker in _FRAMES and frame is None:
            frame = marker, data[start:end]
        elif marker == _SOS:
            scans.append(_scan(data, start))
            if len(scans) > MAX_SCANS:
                raise TooCostly(f"the JPEG has more than {MAX_SCANS} scans", SAVE_AGAIN)
        elif marker == _APP0 and data[start : start + 5] == b"JFIF\x00" and not jfif:
            jfif = start + 5
        described = described or marker == _APP1
    if frame is None or not scans:
        raise _damaged("it holds no picture")
    height, width, shares = _frame(frame[1])
    layout = Layout(frame[0] in _PROGRESSIVE, width, height, shares, tuple(scans), jfif, end, described)
    _check_scans(layout)
    return layout


def luminance(data: bytes, layout: Layout) -> NDArray[np.uint8]:
    """Decode the luminance, to the last bit as Pillow and OpenCV do.

    Args:
        data: The file.
        layout: The layout of the same file.

    Returns:
        uint8 [H, W], without orientation.

    Raises:
        UnreadableImage: libjpeg-turbo has anything at all to complain of.
    """
    ink = len(layout.shares) == 4
    try:
        pixels = simplejpeg.decode_jpeg(_without_oddities(data, layout), "CMYK" if ink else "GRAY")
    except ValueError as error:
        raise _damaged(str(error).split("(): ")[-1]) from error
    if ink:  # Adobe's files, the only ones in use, store the inks inverted
        np.subtract(255, pixels, out=pixels)
        pixels = np.asarray(Image.fromarray(pixels, "CMYK").convert("L"))
    return np.asarray(pixels, np.uint8).reshape(layout.height, layout.width)


def _damaged(reason: str) -> UnreadableImage:
    return UnreadableImage(f"the JPEG cannot be decoded: {reason}", _DAMAGED)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment's content, from the start of the file to its end mark."""
    position = 2
    fill = 0
    for _ in range(MAX_SEGMENTS):
        match = _MARKER.match(data, position)
        if match is None:
            missing = f"there is no marker at byte {position}"
            raise _damaged("it is truncated: its end mark is missing" if position >= len(data) else missing)
        marker = match[1][0]
        fill += match.end() - position - 2
        if fill > MAX_FILL_BYTES:
            raise TooCostly(f"the JPEG has more than {MAX_FILL_BYTES} fill bytes between its segments", SAVE_AGAIN)
        start = position = match.end()
        if marker not in _BARE and marker != _EOI:
            position += int.from_bytes(data[start : start + 2])
            start += 2
            if position < start:
                raise _damaged(f"the segment at byte {start} has no length")
        yield marker, start, position
        if marker == _EOI:
            return
        if marker == _SOS:
            following = _AFTER_SCAN.search(data, position)
            position = following.start() if following else len(data)
    raise TooCostly(f"the JPEG has more than {MAX_SEGMENTS} segments", SAVE_AGAIN)


def _frame(body: bytes) -> tuple[int, int, dict[int, float]]:
    """Height, width and samples per pixel of each component, from a frame header (T.81, B.2.2)."""
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise _damaged("its frame header has the wrong length")
    factors = {body[place]: divmod(body[place + 1], 16) for place in range(6, len(body), 3)}
    widest = max((across for across, _ in factors.values()), default=0)
    tallest = max((down for _, down in factors.values()), default=0)
    if len(factors) not in (1, 3, 4) or any(across * down == 0 for across, down in factors.values()):
        raise _damaged(f"it has {len(factors)} components")
    shares = {number: across * down / (widest * tallest) for number, (across, down) in factors.items()}
    return int.from_bytes(body[1:3]), int.from_bytes(body[3:5]), shares


def _scan(data: bytes, start: int) -> Scan:
    count = data[start] if start < len(data) else 0
    spectrum = start + 1 + 2 * count
    header = data[start + 1 : spectrum + 3]
    if len(header) != 2 * count + 3:
        raise _damaged("it is truncated: a scan header breaks off")
    first, last, bits = header[-3:]
    return Scan(spectrum, tuple(header[: 2 * count : 2]), first, last, bits & 15)


def _check_scans(layout: Layout) -> None:
    """Refuse a file whose scans leave out a part of the picture: libjpeg fills it with grey without a word."""
    bits = {number: np.full(64, _NOT_SENT) for number in layout.shares}
    for scan in layout.scans:
        for number in scan.components:
            if number in bits:
                part = slice(scan.first, scan.last + 1) if layout.progressive else slice(None)
                bits[number][part] = scan.low_bit if layout.progressive else 0
    missing = sum(np.count_nonzero(component) for component in bits.values())
    if missing:
        raise _damaged(f"it is truncated: its scans leave {missing} of {64 * len(bits)} coefficients unfinished")


def _without_oddities(data: bytes, layout: Layout) -> bytes:
    """The file without two oddities that libjpeg warns of although no pixel depends on them.

    A JFIF revision other than 1, and a spectrum in the scans of a sequential file, which some cameras leave at zero.
    """
    revision = layout.jfif and data[layout.jfif] != 1
    sequential = () if layout.progressive else layout.scans
    odd = [scan.spectrum for scan in sequential if data[scan.spectrum : scan.spectrum + 3] != _WHOLE_SPECTRUM]
    if not revision and not odd:
        return data
    changed = bytearray(data)
    if revision:
        changed[layout.jfif] = 1
    for place in odd:
        changed[place : place + 3] = _WHOLE_SPECTRUM
    return bytes(changed)
