"""A DICOM film with nothing but its pixels and facts: a new file, into which only what is understood is copied.

Copying the old one and deleting names would leave those that stand where nobody expects them: in private elements, in
the explanation of a lookup table, in a comment inside the compressed picture, in bits that are not stored. A grey
picture stays compressed as it is, without its comments (`osteolens.films.dicom_codestream`); others are stored decoded.
"""

import hashlib
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from osteolens.films.dicom import FAULTS, GREY, integer
from osteolens.films.dicom_codestream import bare_frame
from osteolens.films.dicom_header import read_header

_NUMBERS = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation", "RescaleSlope",
    "RescaleIntercept", "WindowCenter", "WindowWidth", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
)  # fmt: skip
MOST_PLAIN_BYTES = 32 * 1024**2
"""Pixels of more bytes are deflated, which takes a second for each 8 MB: a server takes files of 64 MiB at most."""
_GREATEST = 1_000_000
"""No length, time or grey level is above it; a patient's number in the wrong place may be."""
_TERMS = {
    "PhotometricInterpretation": (*GREY, "PALETTE COLOR"),
    "VOILUTFunction": ("LINEAR", "LINEAR_EXACT", "SIGMOID"),
    "PresentationLUTShape": ("IDENTITY", "INVERSE"),
}
_PALETTES = tuple(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue"))
_TABLES = ("ModalityLUTSequence", "VOILUTSequence")


def without_identity(film: Dataset, values: NDArray[np.integer]) -> bytes:
    """A file of the same pixels and facts that says nothing else, a name least of all.

    Reading it gives the same picture and the same `Source`. What is burnt into the pixels stays. The identifier is made
    from the pixels, so that the same film gives the same bytes.

    Args:
        film: From `osteolens.films.dicom.open_film`; it is not changed.
        values: Its `stored_values`.
    """
    bare = bare_film(film, values)
    bare.SOPInstanceUID = generate_uid(entropy_srcs=[hashlib.sha256(bare.PixelData).hexdigest()])
    syntax = film.file_meta.TransferSyntaxUID
    if bare.get("PhotometricInterpretation") in GREY and syntax.is_encapsulated and _fit(bare, values):
        frame = bare_frame(film.PixelData, syntax)
        if frame is not None:
            bare.add_new("PixelData", "OB", encapsulate([frame]))
            bare["PixelData"].is_undefined_length = True
            return encode(bare, syntax)
    large = len(bare.PixelData) > MOST_PLAIN_BYTES
    return encode(bare, DeflatedExplicitVRLittleEndian if large else ExplicitVRLittleEndian)


def bare_film(film: Dataset, values: NDArray[np.integer]) -> Dataset:
    """The pixels, how they are shown, and the facts that `osteolens.films.dicom_header` reads, without an identifier.

    Args:
        film: From `open_film`; it is not changed.
        values: Its `stored_values`, changed perhaps.
    """
    bare = Dataset()
    copy_numbers(film, bare, _NUMBERS)
    copy_terms(film, bare, _TERMS)
    for keyword in _TABLES:
        tables = [_table(film, item) for item in items_of(film, keyword)[:1]]  # no other one is read
        if tables and None not in tables:
            setattr(bare, keyword, tables)
    for keyword in _PALETTES:
        if isinstance(data := value_of(film, keyword), bytes):
            setattr(bare, keyword, _little_endian(film, data))
    _set_pixels(bare, values)
    source, *_ = read_header(film)
    facts = {
        "BodyPartExamined": source.body_part, "ViewPosition": source.view, "PatientWeight": source.weight_kg,
        "ImageLaterality": source.side and source.side[0].upper(), "PatientSize": source.height_m,
        "PatientSex": source.sex and source.sex[0].upper(), "PixelSpacing": source.pixel_spacing_mm,
        "PatientAge": None if source.age is None else f"{source.age:03.0f}Y",
    }  # fmt: skip
    for keyword, value in facts.items():
        if value is not None:
            setattr(bare, keyword, list(value) if isinstance(value, tuple) else value)
    bare.SOPClassUID = UID(str(film.get("SOPClassUID") or SecondaryCaptureImageStorage))
    return bare


def copy_numbers(film: Dataset, bare: Dataset, keywords: Iterable[str]) -> None:
    """Copy elements that hold numbers; what else stands in their place is left out."""
    for keyword in keywords:
        try:
            element = film[keyword]
            values = element.value if element.VM > 1 else [element.value]
        except FAULTS:
            continue  # it is not there, or no number
        kinds = dictionary_VR(element.tag).split(" or ")
        if element.VR in kinds and all(isinstance(value, int | float) and abs(value) < _GREATEST for value in values):
            bare.add(DataElement(element.tag, element.VR, element.value))


def copy_terms(film: Dataset, bare: Dataset, terms: dict[str, tuple[str, ...]]) -> None:
    """Copy elements that hold one of the terms that the standard defines for them."""
    for keyword, known in terms.items():
        value = str(value_of(film, keyword) or "").strip().upper()
        if value in known:
            setattr(bare, keyword, value)


def value_of(film: Dataset, keyword: str) -> Any:
    """An element's value; None where it is missing or damaged."""
    try:
        return film.get(keyword)
    except FAULTS:
        return None


def items_of(film: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is missing or something else."""
    value = value_of(film, keyword)
    return list(value) if isinstance(value, Sequence) else []


def encode(film: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """The file of a data set whose pixels are stored in this transfer syntax."""
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = syntax
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    stream = io.BytesIO()
    film.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _set_pixels(bare: Dataset, values: NDArray[np.integer]) -> None:
    """The stored bits alone: the others may hold an overlay with text (PS3.5 8.1.2, retired)."""
    stored, signed = integer(bare, "BitsStored"), integer(bare, "PixelRepresentation", 0)
    wide = values.astype(np.int32) & (2**stored - 1)
    if signed:
        half = 2 ** (stored - 1)
        wide = (wide ^ half) - half
    if values.ndim == 3:
        bare.PhotometricInterpretation, bare.PlanarConfiguration = "RGB", 0
    bare.HighBit = stored - 1
    pixels = wide.astype(f"{'<i' if signed else '<u'}{integer(bare, 'BitsAllocated') // 8}").tobytes()
    bare.add_new("PixelData", "OW", pixels + b"\0" * (len(pixels) % 2))


def _fit(bare: Dataset, values: NDArray[np.integer]) -> bool:
    """Whether all bits that are set are stored ones."""
    stored, signed = integer(bare, "BitsStored"), integer(bare, "PixelRepresentation", 0)
    lowest, beyond = (-(2 ** (stored - 1)), 2 ** (stored - 1)) if signed else (0, 2**stored)
    return bool(lowest <= values.min() and values.max() < beyond)


def _table(film: Dataset, item: Dataset) -> Dataset | None:
    """A lookup table without its explanation; None if it is none."""
    table = Dataset()
    copy_numbers(item, table, ["LUTDescriptor"])
    data = value_of(item, "LUTData")
    if "LUTDescriptor" not in table or data is None:
        return None
    if isinstance(data, bytes):
        entries = int(table.LUTDescriptor[0]) or 2**16
        table.add_new("LUTData", "OW", data if len(data) == entries else _little_endian(film, data))
    else:
        copy_numbers(item, table, ["LUTData"])
    return table if "LUTData" in table else None


def _little_endian(film: Dataset, data: bytes) -> bytes:
    if film.file_meta.TransferSyntaxUID.is_little_endian or len(data) % 2:
        return data
    return np.frombuffer(data, ">u2").astype("<u2").tobytes()
