"""DICOM films without identity, by the Basic Application Level Confidentiality Profile (PS3.15 E.2) with two options.

These are Retain Longitudinal Temporal Information with Modified Dates (E.3.6) and Clean Pixel Data (E.3.1).

The profile lists what to delete. Here it is the other way round, which leaves less: a new file gets the pixels and the
elements of this module, each only with a number or a term of the standard. Of 385 places in which a test plants names
and numbers, `dicognito` 0.19 left 247, `deid` 0.4.13 left 190 (50 without sequences) and `dicom-anonymizer` 2 left 79,
in private and nested elements, free text and terms; this leaves none.
"""

import hashlib
import re
from datetime import datetime, timedelta
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from osteolens.dicomweb.burnt_in import black_out, text_boxes
from osteolens.dicomweb.pseudonyms import keyed, patient_of, pseudonym, text_of, uid_for
from osteolens.errors import UnsupportedType
from osteolens.films import dicom, dicom_bare, dicom_pixels
from osteolens.films.read import read
from osteolens.films.sniff import sniff

PATIENT_FACTS = ("PatientAge", "PatientSex", "PatientSize", "PatientWeight")
OLDEST = "090Y"
"""Ages above it are rare enough to name a person."""

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_TIMES = ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime")
_EMPTY = (
    "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate", "StudyID", "SeriesNumber", "InstanceNumber",
    "Manufacturer", "BodyPartExamined", "ViewPosition", "Laterality", "PatientOrientation", "PatientSex",
)  # fmt: skip
"""Elements that have to be there, empty perhaps (types 2 and 2C of PS3.3)."""
_NUMBERS = (
    "KVP", "ExposureTime", "XRayTubeCurrent", "Exposure", "ExposureInuAs", "DistanceSourceToDetector",
    "DistanceSourceToPatient", "EstimatedRadiographicMagnificationFactor", "PixelSpacing", "ImagerPixelSpacing",
    "PixelIntensityRelationshipSign", "ExposureIndex", "TargetExposureIndex", "DeviationIndex",
    "LossyImageCompressionRatio",
)  # fmt: skip
_TERMS: dict[str, tuple[str, ...]] = {
    "Modality": ("CR", "DX", "RG", "OT", "XC"),
    "ConversionType": ("DV", "DI", "DF", "WSD", "SD", "SI", "DRW", "SYN"),
    "PresentationIntentType": ("FOR PRESENTATION", "FOR PROCESSING"),
    "PixelIntensityRelationship": ("LIN", "LOG", "DISP"),
    "DetectorType": ("DIRECT", "SCINTILLATOR", "STORAGE", "FILM"),
    "LossyImageCompression": ("00", "01"),
    "LossyImageCompressionMethod": ("ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_15444_2"),
    "BurnedInAnnotation": ("YES", "NO"),
}
_CODED = ("ViewCodeSequence", "AnatomicRegionSequence")
_IDENTITY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "SOPInstanceUID",
    "AcquisitionDateTime",
    "ImageType",
    "PatientOrientation",
)
_READ = (*_UIDS, *_DATES, *_TIMES, *_NUMBERS, *_TERMS, *_CODED, *_IDENTITY)
_IMAGE_TYPE = (("ORIGINAL", "DERIVED"), ("PRIMARY", "SECONDARY"))
_PROFILE, _CLEAN, _MODIFIED_DATES, _FACTS = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113101", "Clean Pixel Data Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)  # fmt: skip


class Copy(NamedTuple):
    """A film without identity.

    Attributes:
        data: The DICOM file.
        patient: The pseudonym.
        uid: Its SOP instance UID.
        lines: Lines of burnt-in text that were blacked out.
        missed: Its header says that text is burnt in, and none was seen in the borders.
    """

    data: bytes
    patient: str
    uid: str
    lines: int
    missed: bool


def deidentify(data: bytes, key: bytes, *, clean_pixels: bool = True, keep_facts: bool = False) -> Copy:
    """A copy of a film that does not say whose it is. The same film and key give the same bytes.

    Args:
        data: A DICOM film.
        key: From `load_key`: with the same one, the same patient gets the same pseudonym and shift of dates.
        clean_pixels: Black out text in the borders (`osteolens.dicomweb.burnt_in`).
        keep_facts: Keep age, sex, size and weight.

    Raises:
        InputError: It is no DICOM film, or cannot be read.
    """
    if sniff(data) != "DICOM":
        raise UnsupportedType(f"found {sniff(data)}", "give DICOM films, such as knee.dcm")
    pixels = read(data).pixels
    with dicom.unchecked():
        film = dicom.open_film(data, _READ)
        values = dicom_pixels.stored_values(film)
        boxes = text_boxes(pixels) if clean_pixels else []
        if boxes:
            values = black_out(values, pixels, boxes)
        copy = dicom_bare.bare_film(film, values)
        patient = patient_of(film) or text_of(film, "StudyInstanceUID") or hashlib.sha256(data).hexdigest()
        _add_technique(film, copy)
        _add_identity(film, copy, key, patient, hashlib.sha256(data).hexdigest())
        missed = clean_pixels and not boxes and copy.get("BurnedInAnnotation") == "YES"
        clean = clean_pixels and not missed
        if clean:
            copy.BurnedInAnnotation = "NO"
        _settle_facts(copy, keep_facts)
        options = [_PROFILE, *([_CLEAN] if clean else []), _MODIFIED_DATES, *([_FACTS] if keep_facts else [])]
        copy.PatientIdentityRemoved, copy.DeidentificationMethod = "YES", "OsteoLens: PS3.15 E.2 and the coded options"
        copy.DeidentificationMethodCodeSequence = [_item(value, "DCM", meaning) for value, meaning in options]
        return Copy(dicom_bare.encode(copy), str(copy.PatientID), str(copy.SOPInstanceUID), len(boxes), missed)


def _add_identity(film: Dataset, copy: Dataset, key: bytes, patient: str, content: str) -> None:
    """Pseudonym, identifiers and dates in place of the film's own."""
    copy.PatientID = pseudonym(key, patient)
    copy.PatientName = f"{copy.PatientID}^"  # PS3.5 6.2 wants a family name and a given one, which may be empty
    copy.SOPInstanceUID = uid_for(key, text_of(film, "SOPInstanceUID") or content)
    for keyword in _UIDS:
        identifier = text_of(film, keyword)
        if identifier or keyword != "FrameOfReferenceUID":
            setattr(copy, keyword, uid_for(key, identifier or f"{keyword} of {content}"))
    shift = timedelta(days=1 + int.from_bytes(keyed(key, "dates", patient)[:4]) % 3650)
    for keyword in _DATES:
        setattr(copy, keyword, _shifted(text_of(film, keyword), shift))
    for keyword in _TIMES:
        time = text_of(film, keyword)
        setattr(copy, keyword, time if re.fullmatch(r"\d{2,6}(\.\d{1,6})?", time) else "")
    moment = text_of(film, "AcquisitionDateTime")
    if date := _shifted(moment[:8], shift):
        copy.AcquisitionDateTime = date + re.sub(r"[^\d.].*", "", moment[8:])
    copy.LongitudinalTemporalInformationModified = "MODIFIED"


def _add_technique(film: Dataset, copy: Dataset) -> None:
    """How the film was made, in numbers and in terms of the standard."""
    dicom_bare.copy_numbers(film, copy, _NUMBERS)
    dicom_bare.copy_terms(film, copy, _TERMS)
    if film.file_meta.TransferSyntaxUID in (JPEGBaseline8Bit, JPEGExtended12Bit):
        copy.LossyImageCompression = "01"
    if "Modality" not in copy:
        copy.Modality = "OT"
    parts = [str(part).strip().upper() for part in _listed(dicom_bare.value_of(film, "ImageType"))[:2]]
    if len(parts) == 2 and all(part in known for part, known in zip(parts, _IMAGE_TYPE, strict=True)):
        copy.ImageType = parts
    directions = [
        str(direction).strip().upper() for direction in _listed(dicom_bare.value_of(film, "PatientOrientation"))
    ]
    if len(directions) == 2 and all(re.fullmatch("[APRLHF]{1,3}", direction) for direction in directions):
        copy.PatientOrientation = directions
    for keyword in _CODED:
        known = [code for item in dicom_bare.items_of(film, keyword) if (code := _known_code(item))]
        if known:
            setattr(copy, keyword, [_item(code.value, code.scheme_designator, code.meaning) for code in known[:1]])


def _settle_facts(copy: Dataset, keep: bool) -> None:
    """Facts of the patient as wanted, and every element that has to be there."""
    for keyword in PATIENT_FACTS:
        if not keep and keyword in copy:
            delattr(copy, keyword)
    if copy.get("PatientAge", "") > OLDEST:
        copy.PatientAge = OLDEST
    for keyword in _EMPTY:
        if keyword not in copy:
            setattr(copy, keyword, None)


def _known_code(item: Dataset) -> Code | None:
    """A coded term with the meaning that the standard gives it, whatever the film's own text says."""
    scheme, value = text_of(item, "CodingSchemeDesignator"), text_of(item, "CodeValue")
    if scheme not in ("SCT", "DCM"):
        return None
    return next((code for code in getattr(codes, scheme).concepts.values() if code.value == value), None)


def _item(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _shifted(date: str, shift: timedelta) -> str:
    """A date (PS3.5 6.2, or with dots as before 1993) some days earlier; empty if it is none."""
    try:
        return (datetime.strptime(date.replace(".", ""), "%Y%m%d") - shift).strftime("%Y%m%d")
    except (ValueError, OverflowError):
        return ""


def _listed(value: object) -> list[object]:
    return list(value) if hasattr(value, "append") else [value]  # type: ignore[call-overload]
