"""The pixels of a DICOM film: stored values, decoded and checked against the header."""

import os
import struct
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGBaseline8Bit, JPEGLSTransferSyntaxes, RLELossless

from osteolens.errors import InputError, UnreadableImage, UnsupportedType
from osteolens.films import jpeg
from osteolens.films.dicom import COLOUR, DAMAGED, EXPECTED, FAULTS, GREY, integer, size
from osteolens.films.limits import check_cost

_CODESTREAM = b"\xff\x4f\xff\x51"
_END = b"\xff\xd9"
_THREADS = min(4, os.cpu_count() or 1)
_MAX_TILES = 10_000
_FRAME_HEADERS = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}

# Nanoseconds of CPU per sample, measured on noise and rounded up.
_NS_PER_SAMPLE = {"uncompressed": 8.0, "RLE": 20.0, "JPEG-LS": 80.0, "JPEG 2000": 250.0, "JPEG": 120.0}


def stored_values(film: Dataset) -> NDArray[Any]:
    """Decode the pixels.

    Args:
        film: From `open_film`; its `size` was checked.

    Returns:
        Integers [H, W] as stored, bits that are not stored among them removed, for grey and PALETTE COLOR; else
        RGB uint8 or uint16 [H, W, 3].

    Raises:
        UnreadableImage: They are damaged, or do not fit the header.
        UnsupportedType: They are stored in a form that is not read.
        TooCostly: Decoding would take too long.
    """
    syntax, interpretation = film.file_meta.TransferSyntaxUID, str(film.get("PhotometricInterpretation", ""))
    if interpretation not in (*GREY, *COLOUR):
        raise UnsupportedType(
            "found a DICOM file with an unknown photometric interpretation", f"one of {', '.join((*GREY, *COLOUR))}"
        )
    allocated, stored = integer(film, "BitsAllocated"), integer(film, "BitsStored")
    if allocated not in (8, 16) or not 1 < stored <= allocated:
        raise UnsupportedType(
            f"found a DICOM file with {stored} of {allocated} bits per pixel", "2 to 16 bits stored, 8 or 16 allocated"
        )
    samples = np.prod(size(film)) * integer(film, "SamplesPerPixel", 1)
    check_cost("DICOM film", float(samples) * _NS_PER_SAMPLE[_family(syntax)] / 1e9, "save it uncompressed, or smaller")
    by_index = interpretation in (*GREY, "PALETTE COLOR")
    try:
        if syntax == JPEGBaseline8Bit and by_index:
            return _baseline(film)
        if not syntax.is_compressed:
            _check_length(film)
            if by_index and syntax.is_little_endian:
                return _uncompressed(film)
        elif syntax != RLELossless:
            _check_frame_size(film)
            if by_index and syntax in JPEGLSTransferSyntaxes:
                return _jpeg_ls(film)
            if by_index and _family(syntax) == "JPEG 2000" and (values := _jpeg_2000(film)) is not None:
                return values
        options: Any = {"correct_unused_bits": not by_index}  # of grey pydicom keeps the lowest bits, wherever ours are
        values, _ = get_decoder(syntax).as_array(film, raw=by_index, index=0, **options)
        if by_index and values.dtype.itemsize > _kind(film).itemsize:
            raise ValueError("its samples are not those of the header")
    except NotImplementedError as error:
        raise UnsupportedType(f"found DICOM pixels stored as {syntax.name}, which is not read", EXPECTED) from error
    except FAULTS as error:
        raise UnreadableImage(f"the pixels of the DICOM film ({syntax.name}) cannot be decoded", DAMAGED) from error
    return values >> _lowest_bit(film) if by_index and not syntax.is_compressed else values


def _family(syntax: UID) -> str:
    if not syntax.is_compressed:
        return "uncompressed"
    if syntax == RLELossless:
        return "RLE"
    if syntax in JPEGLSTransferSyntaxes:
        return "JPEG-LS"
    return "JPEG 2000" if syntax in JPEG2000TransferSyntaxes or "2000" in syntax.name else "JPEG"


def _uncompressed(film: Dataset) -> NDArray[np.integer]:
    """The bytes as they lie in the file, not copied where the lowest bit is a stored one."""
    values = np.frombuffer(film.PixelData, _kind(film), int(np.prod(size(film)))).reshape(size(film)[::-1])
    lowest = _lowest_bit(film)
    return values >> lowest if lowest else values


def _jpeg_ls(film: Dataset) -> NDArray[np.integer]:
    """A JPEG-LS picture, by the decoder that takes a quarter of the time of pydicom's.

    Of a picture that was cut it looks for the end for seconds, so the end is put there for it.
    """
    frame = get_frame(film.PixelData, 0, number_of_frames=1).rstrip(b"\0")  # padded to an even length
    values = imagecodecs.jpegls_decode(frame if frame.endswith(_END) else frame + _END)
    if values.shape != size(film)[::-1] or values.dtype.itemsize > _kind(film).itemsize:
        raise ValueError("its samples are not those of the header")
    return np.asarray(values.view(f"{_kind(film).kind}{values.dtype.itemsize}"))


def _jpeg_2000(film: Dataset) -> NDArray[np.integer] | None:
    """A picture of JPEG 2000 or HTJ2K, on several cores; None where header and picture disagree on negative values."""
    values = imagecodecs.jpeg2k_decode(get_frame(film.PixelData, 0, number_of_frames=1), numthreads=_THREADS)
    if values.shape != size(film)[::-1] or values.dtype.itemsize > _kind(film).itemsize:
        raise ValueError("its samples are not those of the header")
    return np.asarray(values) if values.dtype.kind == _kind(film).kind else None


def _kind(film: Dataset) -> np.dtype[np.integer]:
    sign = "i" if integer(film, "PixelRepresentation", 0) else "u"
    return np.dtype(f"<{sign}{integer(film, 'BitsAllocated') // 8}")


def _lowest_bit(film: Dataset) -> int:
    stored = integer(film, "BitsStored")
    return max(0, integer(film, "HighBit", stored - 1) + 1 - stored)


def _check_length(film: Dataset) -> None:
    """Refuse uncompressed pixels that do not fill the picture exactly; an odd length has one byte of padding."""
    expected, length = get_expected_length(film), len(film.PixelData)
    if length not in (expected, expected + expected % 2):
        raise UnreadableImage(
            f"the DICOM film holds {length:,} bytes of pixels where its header says {expected:,}", DAMAGED
        )


def _check_frame_size(film: Dataset) -> None:
    """Refuse a compressed picture whose own size is not the header's: a decoder would make room for what it claims."""
    frame = get_frame(film.PixelData, 0, number_of_frames=1)
    tiles = 1
    if _CODESTREAM in frame[:512]:
        # The SIZ marker of JPEG 2000 (ITU-T T.800 A.5.1), which also says how the picture is cut into tiles.
        right, bottom, left, top, tile_width, tile_height = struct.unpack_from(
            ">6I", frame, frame.index(_CODESTREAM) + 8
        )
        claimed: tuple[int, int] | None = (right - left, bottom - top)
        tiles = -(-right // max(tile_width, 1)) * -(-bottom // max(tile_height, 1))
    else:
        claimed = _size_in_jpeg(frame)
    if claimed and claimed != size(film):
        raise UnreadableImage(
            f"the DICOM header says {' x '.join(map(str, size(film)))} pixels, the compressed picture inside it "
            f"{' x '.join(map(str, claimed))}", DAMAGED,
        )  # fmt: skip
    if tiles > _MAX_TILES:
        raise UnreadableImage(f"the JPEG 2000 picture is cut into more than {_MAX_TILES:,} tiles", DAMAGED)


def _size_in_jpeg(frame: bytes) -> tuple[int, int] | None:
    """Width and height in the frame header of JPEG (ITU-T T.81 B.2.2) or JPEG-LS (T.87 C.2.2); None without one."""
    place = 2
    while frame[place : place + 1] == b"\xff":
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4])
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", frame, place + 5)
            return width, height
        place += 2 + length
    return None


def _baseline(film: Dataset) -> NDArray[np.uint8]:
    """Pixels of a baseline JPEG, by the reader that tells damage."""
    frame = get_frame(film.PixelData, 0, number_of_frames=1).rstrip(b"\0")  # padded to an even length
    try:
        layout = jpeg.examine(frame)
        if (layout.width, layout.height) != size(film):
            raise UnreadableImage(
                f"the DICOM header says {' x '.join(map(str, size(film)))} pixels, the JPEG inside it "
                f"{layout.width} x {layout.height}", DAMAGED,
            )  # fmt: skip
        return jpeg.luminance(frame, layout)
    except InputError as error:
        raise type(error)(f"inside the DICOM film, {error.message}", DAMAGED) from error
