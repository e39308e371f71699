"""What a DICOM header says of a film and its patient, as far as reading the film needs it; never who the patient is.

Only terms that the DICOM standard defines are repeated: free text in a header may hold a name.
"""

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset

from osteolens.options import Options
from osteolens.quality import Reason, Side, Source

HEADER_TAGS = (
    "BodyPartExamined", "ViewPosition", "ImageLaterality", "Laterality", "SharedFunctionalGroupsSequence",
    "SeriesDescription", "PixelSpacing", "ImagerPixelSpacing", "PatientAge", "PatientSex", "PatientSize",
    "PatientWeight",
)  # fmt: skip
_KNEE = frozenset({"KNEE", "KNEES", "PATELLA", "LEG", "LOWERLIMB", "LOWEREXTREMITY", "EXTREMITY", "JOINT"})
_OTHER_PARTS = frozenset(
    {
        "ABDOMEN", "ANKLE", "ARM", "CALCANEUS", "CHEST", "CLAVICLE", "CSPINE", "ELBOW", "FEMUR", "FINGER", "FOOT",
        "FOREARM", "HAND", "HEAD", "HIP", "HUMERUS", "JAW", "LSPINE", "NECK", "PELVIS", "RADIUS", "RIB", "SACRUM",
        "SCAPULA", "SHOULDER", "SKULL", "SPINE", "STERNUM", "THIGH", "THUMB", "TIBIA", "TOE", "TSPINE", "WRIST",
    }
)  # fmt: skip
"""Body parts of PS3.16 Annex L, without the blanks that some machines write."""
_FRONTAL = ("AP", "PA")
_VIEWS = (*_FRONTAL, "LL", "RL", "RLD", "LLD", "RLO", "LLO")
"""View positions of PS3.3 C.8.1.1.1.3 and C.8.11.5.1."""
_SIDES: dict[str, Side] = {"L": "left", "R": "right"}
_WORDS: dict[Side, re.Pattern[str]] = {
    "left": re.compile(r"\b(left|lt|li|links|gauche|izquierda)\b", re.IGNORECASE),
    "right": re.compile(r"\b(right|rt|re|rechts|droite?|derecha)\b", re.IGNORECASE),
}
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_UNUSED = "the header's {} cannot be right and was not used"


def read_header(film: Dataset) -> tuple[Source, tuple[Reason, ...], tuple[str, ...]]:
    """Facts of a header, reasons in it not to answer the film, and what a reader of the film should know about it.

    Args:
        film: From `osteolens.films.dicom.open_film`.
    """
    warnings: list[str] = []
    part, view = _part(film), _text(film, "ViewPosition").upper()
    sides = set(_sides(film))
    if len(sides) > 1:
        warnings.append("the header names both the left and the right side: the side was taken as unknown")
    source = Source(
        body_part=part if part in _KNEE | _OTHER_PARTS else None,
        view=view if view in _VIEWS else None,
        side=sides.pop() if len(sides) == 1 else None,
        pixel_spacing_mm=_spacing(film),
        age=_fact("age", _age(film), "age", warnings),
        sex={"F": "female", "M": "male"}.get(_text(film, "PatientSex").upper()),
        weight_kg=_fact("weight_kg", _number(film.get("PatientWeight")), "weight", warnings),
        height_m=_fact("height_m", _number(film.get("PatientSize")), "size", warnings),
    )
    return source, other_than_frontal_knee(film), tuple(warnings)


def other_than_frontal_knee(film: Dataset) -> tuple[Reason, ...]:
    """Reasons in the header to think that a film is not a knee from the front; none where it says nothing."""
    reasons: list[Reason] = []
    part, view = _part(film), _text(film, "ViewPosition").upper()
    if part and part not in _KNEE:
        named = f"body part {part}" if part in _OTHER_PARTS else "a body part that is not the knee"
        reasons.append(Reason(code="other_body_part", message=f"the header names {named}, expected KNEE"))
    if view in _VIEWS and view not in _FRONTAL:
        reasons.append(Reason(code="other_view", message=f"the header names the view {view}, expected AP or PA"))
    return tuple(reasons)


def _part(film: Dataset) -> str:
    return re.sub(r"[^A-Z]", "", _text(film, "BodyPartExamined").upper())


def _text(film: Dataset, name: str) -> str:
    value = film.get(name)
    return value.strip() if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def _sides(film: Dataset) -> Iterator[Side]:
    """Each side that some place in the header names."""
    letters = [_text(film, "ImageLaterality"), _text(film, "Laterality")]
    for group in film.get("SharedFunctionalGroupsSequence") or []:
        letters += [_text(anatomy, "FrameLaterality") for anatomy in group.get("FrameAnatomySequence") or []]
    yield from (_SIDES[letter.upper()] for letter in letters if letter.upper() in _SIDES)
    description = _text(film, "SeriesDescription")
    yield from (side for side, word in _WORDS.items() if word.search(description))


def _spacing(film: Dataset) -> tuple[float, float] | None:
    """Millimetres between rows and between columns: on the patient where known, else at the detector."""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        values = [_number(value) for value in film.get(name) or []]
        if len(values) == 2 and all(value and 0.01 <= value <= 10 for value in values):
            return values[0], values[1]  # type: ignore[return-value]
    return None


def _age(film: Dataset) -> float | None:
    """Years, from an age string such as 063Y (PS3.5 6.2)."""
    age = _AGE.fullmatch(_text(film, "PatientAge").upper())
    return int(age[1]) * _YEARS[age[2]] if age else None


def _fact(option: str, value: float | None, name: str, warnings: list[str]) -> float | None:
    """A fact of the patient within the limits that a request's option has; 0 is how some machines write unknown."""
    if not value:
        return None
    limits = {type(bound).__name__: bound for bound in Options.model_fields[option].metadata}
    if limits["Ge"].ge <= value <= limits["Le"].le:
        return value
    warnings.append(_UNUSED.format(name))
    return None
