"""The DICOM film that objects are made for: whom they belong to, and which identifiers they get."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import generate_uid

from osteolens.errors import UnreadableImage, UnsupportedType
from osteolens.films import dicom
from osteolens.films.dicom_header import HEADER_TAGS
from osteolens.films.read import read
from osteolens.schema import Answer, Explanation

MAKER = "OsteoLens"
SERIES = {"picture": 9101, "map": 9102, "report": 9103, "page": 9104}
"""Number of the series that each kind of object goes into."""

IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
"""Type 2 elements of the patient and study modules (PS3.3 C.7.1.1, C.7.2.1): they have to be there, empty perhaps."""

_NAMES = ("PatientName", "ReferringPhysicianName")
_TAKEN_OVER = (
    *IDENTIFIERS, *_MAY_BE_EMPTY, *HEADER_TAGS, "SpecificCharacterSet", "IssuerOfPatientID", "FrameOfReferenceUID",
    "Modality", "Manufacturer", "Rows", "Columns", "PatientOrientation", "ImageOrientationPatient",
    "ImagePositionPatient",
)  # fmt: skip
"""What objects may take over, and what tells a knee from other films.

The rest is not read: highdicom would copy institution, device and comments.
"""


@dataclass(frozen=True)
class SourceFilm:
    """A film with its whole header, whose patient and study the new objects take over.

    Attributes:
        header: Everything but the pixels.
        pixels: uint8 [H, W], as `osteolens.films.read` shows it.
        names: Elements that hold persons' names, as the file has them. In `header` each ends in a caret where it has
            none: highdicom would print a name of one component in a warning.
    """

    header: Dataset
    pixels: NDArray[np.uint8]
    names: Mapping[str, str]

    def uid(self, answer: Answer, kind: str) -> str:
        """The identifier of an object: the same film and model always give the same one.

        Args:
            answer: Its model's card counts, not its numbers.
            kind: What the object is, such as `report`.
        """
        facts = [str(self.header.SOPInstanceUID), answer.model.name, answer.model.card_sha256, kind]
        return str(generate_uid(entropy_srcs=facts))

    def place(self, answer: Answer, kind: str, explanation: Explanation | None = None) -> dict[str, Any]:
        """Where an object goes and who made it, as highdicom's constructors take it.

        Args:
            answer: The answer that it is made of.
            kind: One of `SERIES`.
            explanation: Explanation that it shows, of several perhaps.
        """
        part = kind if explanation is None else f"{kind} {explanation.method} {explanation.target}"
        return {
            "series_instance_uid": self.uid(answer, f"series of {kind}"),
            "series_number": SERIES[kind],
            "sop_instance_uid": self.uid(answer, part),
            "instance_number": 1 if explanation is None else 1 + answer.explanations.index(explanation),
            "manufacturer": MAKER,
        }


def open_source(data: bytes) -> SourceFilm:
    """Read a DICOM film for which objects can be made.

    Raises:
        UnsupportedType: It is no DICOM film; objects need a patient and a study to belong to.
        UnreadableImage: Its header does not say which study it belongs to, or its pixels cannot be read.
        InputError: As `osteolens.films.read.read`.
    """
    picture = read(data)
    if picture.format != "DICOM":
        raise UnsupportedType(
            f"found a {picture.format}, which belongs to no patient and no study", "send a DICOM film, such as knee.dcm"
        )
    with dicom.unchecked():
        try:
            header = dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=[*_TAKEN_OVER])
        except (InvalidDicomError, *dicom.FAULTS) as error:
            raise UnreadableImage("the DICOM header cannot be read as a whole", dicom.DAMAGED) from error
        missing = [name for name in IDENTIFIERS if not header.get(name)]
        if missing:
            raise UnreadableImage(f"the DICOM header has no {missing[0]}", "send the film as the archive keeps it")
        for name in _MAY_BE_EMPTY:
            if name not in header:
                setattr(header, name, "")
        names = {name: str(header[name].value) for name in _NAMES}
        for name, value in names.items():
            if value and "^" not in value:
                setattr(header, name, f"{value}^")
    return SourceFilm(header, picture.pixels, names)
