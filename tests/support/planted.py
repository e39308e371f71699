"""A DICOM film in which 20 names and numbers stand in 10 places each, for tests that look for them afterwards."""

import base64
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import parquet
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from support.dicom import dataset, knee, save

NAMES = (
    "Quendolin", "Brzezinka", "Oberkofler", "Vandevelde", "Yamanushi", "Kjellgren", "Achterberg", "Zsigmondy",
    "Tchernova", "Fitzhubert",
)  # fmt: skip
NUMBERS = (
    "9081726354", "8172635490", "7263549081", "6354908172", "5490817263", "4908172635", "9817263540", "8726354091",
    "7635409182", "6540918273",
)  # fmt: skip
VALUES = (*NAMES, *NUMBERS)
STUDY_DATE, BIRTH_DATE = "20231107", "19610419"
DATES = (STUDY_DATE, BIRTH_DATE)
ROOT = "1.2.826.0.1.3680043.10.511"
"""Prefix of the identifiers, which hold a patient's number as those of some machines do."""

_TOP = (
    "AccessionNumber", "PatientName", "InstitutionName", "InstitutionAddress", "ReferringPhysicianName", "StationName",
    "StudyDescription", "OperatorsName", "PerformingPhysicianName", "PatientAddress", "PatientComments", "StudyID",
    "DeviceSerialNumber", "ProtocolName", "RequestedProcedureDescription", "PatientBirthName", "RequestingPhysician",
    "CurrentPatientLocation", "SeriesDescription", "ImageComments",
)  # fmt: skip
_TERMS = (
    "BodyPartExamined", "ViewPosition", "VOILUTFunction", "Manufacturer", "PresentationLUTShape", "ConversionType",
    "PatientOrientation", "BurnedInAnnotation", "PixelIntensityRelationship", "PatientPosition",
    "AcquisitionDeviceProcessingDescription", "Laterality", "ImageLaterality", "FilterType", "DetectorType",
    "ImageType", "WindowCenterWidthExplanation", "PatientSexNeutered", "RescaleType", "ManufacturerModelName",
)  # fmt: skip
"""Elements of terms, which a film's reader uses, or that no profile deletes."""


def planted(pixels: Any = None, **elements: Any) -> bytes:
    """The file: each of `VALUES` in 10 places, of which four are private and five nested; dates and UIDs as well."""
    with config.disable_value_validation():
        table = Dataset()
        table.LUTDescriptor, table.LUTExplanation = [4096, 0, 16], " ".join(VALUES)
        table.add_new("LUTData", "OW", (np.arange(4096, dtype=np.uint16) * 16).tobytes())
        film = dataset(knee(400, 320) if pixels is None else pixels, 12)
        for keywords in (_TOP, _TERMS):
            for keyword, value in zip(keywords, VALUES, strict=True):
                setattr(film, keyword, value)
        film.PatientID, film.PatientAge, film.PatientSex = NUMBERS[0], "063Y", "F"
        film.StudyDate = film.SeriesDate = film.ContentDate = STUDY_DATE
        film.StudyTime, film.PatientBirthDate, film.PixelSpacing = "101112", BIRTH_DATE, [0.15, 0.15]
        film.AcquisitionDateTime = f"{STUDY_DATE}101112"
        for keyword, value in zip(("Study", "Series", "SOP", "FrameOfReference"), NUMBERS, strict=False):
            name = f"{keyword}UID" if keyword == "FrameOfReference" else f"{keyword}InstanceUID"
            setattr(film, name, f"{ROOT}.{value}")
        film.VOILUTSequence = [table]
        film.OtherPatientIDsSequence = [_item(PatientID=value, IssuerOfPatientID=value) for value in VALUES]
        film.RequestAttributesSequence = [
            _item(RequestedProcedureDescription=f"knee of {value}", ScheduledProcedureStepID=value,
                  RequestedProcedureCodeSequence=[_item(CodeValue=value, CodeMeaning=value)]) for value in VALUES
        ]  # fmt: skip
        film.OriginalAttributesSequence = [
            _item(ModifiedAttributesSequence=[_item(PatientName=value, PatientID=value)]) for value in VALUES
        ]
        film.ViewCodeSequence = [_item(CodeValue=v, CodingSchemeDesignator="SCT", CodeMeaning=v) for v in VALUES]
        film.ContentSequence = [_item(ValueType="TEXT", TextValue=f"Seen: {value}.") for value in VALUES]
        film.PatientComments = "; ".join(VALUES)
        film.private_block(0x0011, "ACME 1.0", create=True).add_new(0x01, "LO", list(VALUES))
        film.private_block(0x0013, "ACME UN", create=True).add_new(0x02, "UN", " ".join(VALUES).encode())
        nested = [Dataset() for _ in VALUES]
        for item, value in zip(nested, VALUES, strict=True):
            item.private_block(0x0015, "ACME SQ", create=True).add_new(0x04, "PN", value)
        film.private_block(0x0015, "ACME SQ", create=True).add_new(0x03, "SQ", nested)
        film.add(DataElement(0x60000022, "LO", "overlay of " + VALUES[0]))
        film.add(DataElement(0xFFFCFFFC, "OB", " ".join(VALUES).encode()))
        for keyword, value in elements.items():
            setattr(film, keyword, value)
        whole_file = bytearray(save(film))
    preamble = " ".join(VALUES)[:128].encode()
    whole_file[: len(preamble)] = preamble
    return bytes(whole_file)


def leaks(content: bytes, *, dates: bool = False) -> list[str]:
    """Planted values in bytes, in any case, as UTF-8 or UTF-16; `dates` counts those too."""
    lower = content.lower()
    texts = (*VALUES, *(DATES if dates else ()))
    return [value for value in texts if value.lower().encode() in lower or value.lower().encode("utf-16-le") in lower]


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def broken() -> dict[str, bytes]:
    """The same film, damaged in ways that a reader has to speak of."""
    whole = planted()
    pixels = whole.rindex(b"\xe0\x7f\x10\x00")
    return {
        "cut in the header": whole[:3000],
        "cut in the pixels": whole[: pixels + 5000],
        "no pixels": whole[:pixels],
        "unknown syntax": whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"),
        "another class": whole.replace(b"1.2.840.10008.5.1.4.1.1.1\0", b"1.2.840.10008.5.1.4.1.1.2\0"),
        "no number of rows": whole.replace(b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00LO", 1),
        "a name as interpretation": whole.replace(b"MONOCHROME2 ", b"Quendolin   ", 1),
        "a name as window": planted(WindowCenter="9081726354", WindowWidth="1"),
        "JPEG that is none": whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.50", 1),
    }


def leaks_below(folder: Path) -> dict[str, list[str]]:
    """Planted values in names and contents of all files in a folder, those that are compressed inside among them."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and (values := leaks(name.encode() + b"\n" + unpacked(path.read_bytes()), dates=True)):
            found[name] = values
        if path.suffix == ".parquet" and path.is_file():
            rows = parquet.read_table(path).to_pylist()
            assert rows
            assert leaks(repr(rows).encode(), dates=True) == []
    return found


def unpacked(content: bytes) -> bytes:
    """A file's bytes, and after them what zlib and ASCII85 streams inside (PNG, PDF) unpack to."""
    parts = [content]
    for stream in re.findall(rb"stream\r?\n(.*?)~>endstream", content, re.DOTALL):
        parts.append(base64.a85decode(stream, adobe=False))
    for part in list(parts):
        for start in re.finditer(rb"x[\x01\x5e\x9c\xda]", part):
            try:
                parts.append(zlib.decompressobj().decompress(part[start.start() :]))
            except zlib.error:
                continue  # two bytes that look like the beginning of a stream
    return b"\n".join(parts)
