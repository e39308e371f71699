"""A DICOM film in which 20 names and numbers stand in 10 places each, for tests that look for them afterwards."""

from typing import Any

import numpy as np
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

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


def planted(pixels: Any = None, syntax: str = ExplicitVRLittleEndian, frame: bytes | None = None) -> bytes:
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
        whole_file = bytearray(save(film, syntax, frame))
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
