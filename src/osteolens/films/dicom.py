"""A DICOM file -> its header as far as a film needs it. Importing it loads pydicom.

`osteolens.films.dicom_pixels` decodes its pixels, `osteolens.films.dicom_display` makes a grey picture of them,
`osteolens.films.dicom_header` tells what the header says.
"""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from osteolens.errors import InputTooLarge, UnreadableImage, UnsupportedType
from osteolens.films.dicom_header import HEADER_TAGS

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

unchecked = config.disable_value_validation
"""Context in which films are read: pydicom's warnings about odd values would print the values into logs."""


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
