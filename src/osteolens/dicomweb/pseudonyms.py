"""Pseudonyms: what a secret key makes of a patient's number and of identifiers, always the same and never back."""

import base64
import hmac
import os
import re
import secrets
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset

from osteolens.errors import OsteoLensError
from osteolens.films import dicom, dicom_bare

KEY_BYTES = 32
_DATES = ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")
_IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "SOPInstanceUID")


class Origin(NamedTuple):
    """Whose film it is and where it comes from, all of it behind a key.

    Attributes:
        patient: Pseudonym of the patient; of the study where the header has neither number nor name; else empty.
        study: Keyed hash of the Study Instance UID, 64 hexadecimal digits; empty without one.
        instance: Likewise of the SOP Instance UID.
        study_day: Study Date, by which an archive is searched.
        day: The day on which the film was made, as exactly as the header says.
    """

    patient: str
    study: str
    instance: str
    study_day: date | None
    day: date | None


def origin_of(data: bytes, key: bytes) -> Origin:
    """Read a film's origin.

    Args:
        data: A DICOM film that `osteolens.films.read` has read.
        key: From `load_key`.
    """
    with dicom.unchecked():
        film = dicom.open_film(data, (*_IDENTITY, *_DATES))
        study = text_of(film, "StudyInstanceUID")
        patient = patient_of(film) or study
        days = [day for keyword in _DATES if (day := _day(text_of(film, keyword)))]
        return Origin(
            patient=pseudonym(key, patient) if patient else "",
            study=hashed(key, study),
            instance=hashed(key, text_of(film, "SOPInstanceUID")),
            study_day=_day(text_of(film, "StudyDate")),
            day=days[0] if days else None,
        )


def load_key(path: Path) -> bytes:
    """The secret from which pseudonyms are made, written once, readable by this user alone.

    Raises:
        OsteoLensError: The file holds no key, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        text = path.read_text(errors="replace").strip()
        if not re.fullmatch(rf"[0-9a-f]{{{2 * KEY_BYTES}}}", text):
            raise OsteoLensError(
                f"{path} is no key: expected {2 * KEY_BYTES} hexadecimal digits; name another file"
            ) from None
        if path.stat().st_mode & 0o077:
            raise OsteoLensError(f"others may read {path}, and could find out who is who: chmod 600 {path}") from None
        return bytes.fromhex(text)
    key = secrets.token_bytes(KEY_BYTES)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"{key.hex()}\n")
    return key


def patient_of(film: Dataset) -> str:
    """What tells patients apart: the number, else name and birth date; empty without them."""
    number = text_of(film, "PatientID")
    named = f"{text_of(film, 'PatientName').upper()}/{text_of(film, 'PatientBirthDate')}"
    return number or (named if named.strip("/") else "")


def pseudonym(key: bytes, patient: str) -> str:
    """Sixteen capital letters and digits for a patient."""
    return base64.b32encode(keyed(key, "patient", patient)).decode()[:16]


def uid_for(key: bytes, identifier: str) -> str:
    """An identifier below 2.25 (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(keyed(key, 'uid', identifier)[:16])}"


def hashed(key: bytes, identifier: str) -> str:
    """An identifier as 64 hexadecimal digits, to be compared and never sent; empty if it is."""
    return keyed(key, "compared", identifier).hex() if identifier else ""


def keyed(key: bytes, use: str, text: str) -> bytes:
    """Keyed hash (HMAC-SHA-256); another use of the same text gives another one."""
    return hmac.digest(key, f"{use}\0{text}".encode("utf-8", "surrogateescape"), "sha256")


def text_of(film: Dataset, keyword: str) -> str:
    """An element's text; empty where it is missing, or holds something else."""
    value = dicom_bare.value_of(film, keyword)
    return str(value).strip(" \0") if value is not None else ""


def _day(text: str) -> date | None:
    """A date (PS3.5 6.2, or with dots as before 1993); None if it is none."""
    try:
        return datetime.strptime(text.replace(".", "")[:8], "%Y%m%d").date()
    except ValueError:
        return None
