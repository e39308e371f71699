"""A compressed grey picture of a DICOM film without what stands beside the pixels: comments, application data, a tail.

Both formats are chains of segments that begin with a marker. Segments that decoding needs are copied, the others left
out; where anything else is met, the picture is not kept compressed at all.
"""

import re
import struct

from pydicom.encaps import get_frame
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

_SOI, _EOI, _SOS, _LSE = 0xD8, 0xD9, 0xDA, 0xF8
_JPEG_FRAMES = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}
_JPEG_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDC, 0xDD, _LSE, _SOS})
_JPEG_REMARKS = frozenset({*range(0xE0, 0xF0), 0xFE})
_JPEG_NEXT = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""A marker after the pixels of a scan: neither a stuffed byte (ITU-T T.81 B.1.1.5, T.87 A.1) nor a restart marker."""
_PRESET_PARAMETERS = 1
_SOC, _SOT, _SOD, _EOC, _SIZ, _COM = 0x4F, 0x90, 0x93, 0xD9, 0x51, 0x64
_MAIN = frozenset({0x50, _SIZ, 0x52, 0x53, 0x55, 0x57, 0x59, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x63})
_TILE = frozenset({0x52, 0x53, 0x58, 0x5C, 0x5D, 0x5E, 0x5F, 0x61})
"""Segments of a main and of a tile-part header that hold numbers alone (ITU-T T.800 and T.814, table A.2)."""


def bare_frame(pixel_data: bytes, syntax: UID) -> bytes | None:
    """The compressed picture, pixels unchanged, of an even length.

    Args:
        pixel_data: Of a film with one grey frame that has been decoded without fault.
        syntax: Its transfer syntax.

    Returns:
        None where it cannot be told what stands beside the pixels.
    """
    if syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
        strip = _bare_jpeg
    elif syntax in JPEG2000TransferSyntaxes or "2000" in syntax.name:
        strip = _bare_jpeg_2000
    else:
        return None
    try:
        bare = strip(get_frame(pixel_data, 0, number_of_frames=1))
    except (ValueError, IndexError, struct.error):
        return None
    return bare + b"\0" * (len(bare) % 2)


def _bare_jpeg(frame: bytes) -> bytes:
    """JPEG (ITU-T T.81 B) or JPEG-LS (T.87 C)."""
    if frame[:2] != bytes([0xFF, _SOI]):
        raise ValueError("no JPEG")
    parts, place = [frame[:2]], 2
    while (marker := _marker(frame, place)) != _EOI:
        end = _end(frame, place)
        segment = frame[place:end]
        if marker in _JPEG_FRAMES and segment[9] != 1:
            raise ValueError("more than one component")
        if marker == _LSE and segment[4] != _PRESET_PARAMETERS:
            raise ValueError("a mapping table")
        if marker not in _JPEG_FRAMES | _JPEG_TABLES | _JPEG_REMARKS:
            raise ValueError("an unknown segment")
        if marker not in _JPEG_REMARKS:
            parts.append(segment)
        if marker == _SOS:
            following = _JPEG_NEXT.search(frame, end)
            if following is None:
                raise ValueError("the end is missing")
            parts.append(frame[end : following.start()])
            end = following.start()
        place = end
    return b"".join([*parts, bytes([0xFF, _EOI])])


def _bare_jpeg_2000(frame: bytes) -> bytes:
    """A codestream of JPEG 2000 or HTJ2K (ITU-T T.800 A)."""
    if frame[:2] != bytes([0xFF, _SOC]):
        raise ValueError("no codestream")
    parts, place = [frame[:2]], 2
    while (marker := _marker(frame, place)) != _SOT:
        end = _end(frame, place)
        if marker == _SIZ and frame[place + 38 : place + 40] != b"\0\1":
            raise ValueError("more than one component")
        if marker in _MAIN:
            parts.append(frame[place:end])
        elif marker != _COM:
            raise ValueError("an unknown segment")
        place = end
    while marker == _SOT:
        length = struct.unpack_from(">I", frame, place + 6)[0]
        header = _end(frame, place)
        while _marker(frame, header) in _TILE:
            header = _end(frame, header)
        # A remark here counts in the lengths that other segments state.
        if _marker(frame, header) != _SOD or length < header + 2 - place:
            raise ValueError("an unknown segment, or a tile-part without a length")
        parts.append(frame[place : place + length])
        place += length
        marker = _marker(frame, place)
    if marker != _EOC:
        raise ValueError("the end is missing")
    return b"".join([*parts, bytes([0xFF, _EOC])])


def _marker(frame: bytes, place: int) -> int:
    if frame[place] != 0xFF:
        raise ValueError("no marker")
    return frame[place + 1]


def _end(frame: bytes, place: int) -> int:
    """The end of a segment, whose length counts its own two bytes."""
    return place + 2 + int(struct.unpack_from(">H", frame, place + 2)[0])
