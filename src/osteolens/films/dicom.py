"""A DICOM file -> its stored pixel values, decoded and checked against the header. Importing it loads pydicom.

`osteolens.films.dicom_display` makes a grey picture of them, `osteolens.films.dicom_header` tells what the header says.
"""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGLSTransferSyntaxes,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from osteolens.errors import InputError, InputTooLarge, UnreadableImage, UnsupportedType
from osteolens.films import jpeg
from osteolens.films.dicom_header import HEADER_TAGS
from osteolens.films.limits import check_cost

MAX_INFLATED = 192 * 1024**2
"""Bytes that a deflated file may grow to: 64 million pixels of 16 bits, and room for a header."""

EXPECTED = "send a knee film as CR, DX or secondary capture, or exported as a PNG"
DAMAGED = "export it from the archive again: this copy was cut or changed on its way"
GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "PALETTE COLOR")
FILMS = frozenset(
    {
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
        SecondaryCaptureImageStorage,
    }
)
_PIXEL_TAGS = (
    "SOPClassUID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    "FloatPixelData", "DoubleFloatPixelData", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
    "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PresentationLUTShape", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "DirectoryRecordSequence",
)  # fmt: skip
SECONDARY_CAPTURE = SecondaryCaptureImageStorage
FAULTS = (
    ValueError, TypeError, LookupError, EOFError, OSError, RuntimeError, AttributeError, OverflowError, struct.error,
)  # fmt: skip
"""What pydicom and its decoders raise on damaged data. Their messages may repeat a value of the header, a patient's
name perhaps, and so are not passed on."""

_CODESTREAM = b"\xff\x4f\xff\x51"
_MAX_TILES = 10_000
_FRAME_HEADERS = (frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}

unchecked = config.disable_value_validation
"""Context in which films are read: pydicom's warnings about odd values would print the values into logs."""

# Nanoseconds of CPU per sample, measured on noise and rounded up.
_NS_PER_SAMPLE = {"uncompressed": 8.0, "RLE": 20.0, "JPEG-LS": 80.0, "JPEG 2000": 250.0, "JPEG": 120.0}


def open_film(data: bytes, further: Iterable[str] = ()) -> Dataset:
    """Parse a DICOM file as far as a film needs: its pixels, how they are shown, and `HEADER_TAGS`.

    Nothing else is kept, so that a patient's name can go nowhere from here.

    Args:
        data: The file.
        further: Keywords of elements that the caller needs as well.

    Raises:
        UnreadableImage, UnsupportedType, InputTooLarge: The message says what was found.
    """
    stream = io.BytesIO(data)
    try:
        read_preamble(stream, force=False)
        meta = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
        syntax = _transfer_syntax(meta)
        if syntax == DeflatedExplicitVRLittleEndian:
            stream = io.BytesIO(_inflate(data[stream.tell() :]))
        tags: list[Any] = [Tag(name) for name in (*_PIXEL_TAGS, *HEADER_TAGS, *further)]
        film = read_dataset(stream, syntax.is_implicit_VR, syntax.is_little_endian, specific_tags=tags)
    except FAULTS as error:
        raise UnreadableImage(f"the DICOM header cannot be read ({type(error).__name__})", DAMAGED) from error
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = syntax
    return film


def size(film: Dataset) -> tuple[int, int]:
    """Width and height of the one picture in a file.

    Raises:
        UnsupportedType: There is none, or several, or it is no radiograph.
        UnreadableImage: The header does not say its size.
    """
    if "DirectoryRecordSequence" in film:
        raise UnsupportedType("found a DICOMDIR, the list of contents of a disc", "send the films that it lists")
    kind = UID(str(film.get("SOPClassUID", "")))
    if kind and kind not in FILMS:
        name = kind.name if kind.is_valid and kind.name != kind else "object of a class that the standard does not name"
        raise UnsupportedType(f"found a DICOM {name}, which is not a film", EXPECTED)
    if "FloatPixelData" in film or "DoubleFloatPixelData" in film:
        raise UnsupportedType("found a DICOM file with floating-point pixels", "save it with 8 to 16 bits per pixel")
    if "PixelData" not in film:
        raise UnsupportedType("found a DICOM file without pixels", EXPECTED)
    frames = integer(film, "NumberOfFrames", 1)
    if frames != 1:
        raise UnsupportedType(f"found a DICOM file with {frames} frames", "send one still picture")
    return integer(film, "Columns"), integer(film, "Rows")


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
        elif syntax != RLELossless:
            _check_frame_size(film)
        values, _ = get_decoder(syntax).as_array(film, raw=by_index, index=0)
    except NotImplementedError as error:
        raise UnsupportedType(f"found DICOM pixels stored as {syntax.name}, which is not read", EXPECTED) from error
    except FAULTS as error:
        raise UnreadableImage(f"the pixels of the DICOM film ({syntax.name}) cannot be decoded", DAMAGED) from error
    if by_index and not syntax.is_compressed:
        values = values.astype(np.int32) >> max(0, integer(film, "HighBit", stored - 1) + 1 - stored)
    return values


def integer(film: Dataset, name: str, default: int | None = None) -> int:
    """A whole number of the header.

    Raises:
        UnreadableImage: It is missing and has no default, or is no number.
    """
    value = film.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise UnreadableImage(f"the DICOM header has no valid {name}", DAMAGED) from None


def _transfer_syntax(meta: Dataset) -> UID:
    syntax = UID(str(meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)))
    if not syntax.is_transfer_syntax or syntax.is_private:
        raise UnsupportedType("the DICOM file names a transfer syntax that the standard does not know", EXPECTED)
    return syntax


def _inflate(data: bytes) -> bytes:
    """A deflated file's content (PS3.5 A.5), up to the limit that pydicom itself does not set."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise UnreadableImage("the deflated DICOM file is damaged", DAMAGED) from error
    if inflater.unconsumed_tail:
        raise InputTooLarge(f"the deflated DICOM file grows to more than {MAX_INFLATED:,} bytes", EXPECTED)
    return inflated


def _family(syntax: UID) -> str:
    if not syntax.is_compressed:
        return "uncompressed"
    if syntax == RLELossless:
        return "RLE"
    if syntax in JPEGLSTransferSyntaxes:
        return "JPEG-LS"
    return "JPEG 2000" if syntax in JPEG2000TransferSyntaxes or "2000" in syntax.name else "JPEG"


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
