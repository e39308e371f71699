"""Small films of an archive: knees, and what is none."""

from typing import Any

from pydicom.uid import JPEG2000Lossless
from support.dicom import dataset, knee, save

SECRETS = ("Mustermann", "4711-", "19600102", "ACC-99", "Klinik", "Hausarzt")
_PATIENT = {
    "PatientName": "Mustermann^Erika", "PatientBirthDate": "19600102", "AccessionNumber": "ACC-99",
    "InstitutionName": "Klinik", "ReferringPhysicianName": "Hausarzt", "StudyDate": "20260102", "StudyTime": "120000",
}  # fmt: skip


def film_study(study: int) -> str:
    return f"1.2.826.0.1.{study}"


def uid(study: int, image: int = 1) -> str:
    return f"{film_study(study)}.1.{image}"


def film(study: int, image: int = 1, *, frame: bytes | None = None, cut: int = 0, **elements: Any) -> bytes:
    """A knee film; `frame` replaces its pixels by a compressed picture, `cut` takes bytes off them."""
    identifiers = {
        "StudyInstanceUID": film_study(study), "SeriesInstanceUID": f"{film_study(study)}.1",
        "SOPInstanceUID": uid(study, image), "PatientID": f"4711-{study}", "BodyPartExamined": "KNEE",
    }  # fmt: skip
    made = dataset(knee(96 + image, 80), 12, **(_PATIENT | identifiers | elements))
    if cut:
        made.PixelData = made.PixelData[:-cut]
    return save(made, JPEG2000Lossless, frame) if frame else save(made)
