"""Requests and responses of the API, with examples; the answers themselves are `osteolens.schema.Answer`."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from accounts.models import MOST_TOKEN_DAYS, TOKEN_DAYS
from ninja import Field, Schema
from pydantic import ConfigDict

from osteolens.rows import ErrorAnswer
from osteolens.schema import Answer

_ID = "6f4c1f5e-8d0f-4a55-9a8e-0f3f0c7a2b11"
FILM_EXAMPLE = {
    "id": _ID, "name": "knee.jpg", "patient": "P-017", "side": "left", "view": "AP",
    "taken_on": "2026-03-01", "label_text": "left, 2026", "note": "", "age": 63.0, "sex": "female",
    "weight_kg": 71.5, "height_m": 1.62, "width": 1248, "height": 1024, "format": "JPEG", "bytes": 184233,
    "uploaded_at": "2026-11-24T02:34:27Z", "state": "answered", "headline": "osteopenia with age and sex",
    "lead": "fused", "label": "osteopenia", "probability": 0.61, "t_score": -1.8, "triage": "uncertain",
    "output": "osteopenia", "outdated": False, "model": "knee", "model_version": "1.0", "warnings": [],
    "url": f"/films/{_ID}/", "duplicate_of": None,
}  # fmt: skip
WORK_EXAMPLE = FILM_EXAMPLE | {
    "owner": "anna", "read_at": "2026-11-25T08:00:00Z", "read_by": "ben", "assigned_to": "ben",
}  # fmt: skip
PATIENT_EXAMPLE = {"id": _ID, "name": "P-017", "count": 2, "url": f"/patients/{_ID}/"}
ANSWER_EXAMPLE = {
    "schema": 1, "id": "9d3e", "label": "osteopenia",
    "probabilities": {"normal": 0.12, "osteopenia": 0.61, "osteoporosis": 0.27},
    "t_score": {"estimate": -1.8, "interval_90": [-3.0, -0.6]}, "fold_spread": None, "triage": "uncertain",
    "fused": None, "quality": {"accepted": True, "warnings": [], "unfamiliarity": None},
    "film": {"width": 1248, "height": 1024}, "explanations": [],
    "model": {"name": "knee", "version": "1.0", "card_sha256": "d41d"},
    "timing_ms": {"decode": 11.2, "model": 30.5, "explain": 5.1},
}  # fmt: skip
_NO_ZERO = r"^[^\x00]*$"  # PostgreSQL has no place for zero characters


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class LogIn(Schema):
    """Name and password, as on the log-in page."""

    model_config = _example({"username": "admin", "password": "correct horse battery staple"})

    username: str = Field(max_length=150, pattern=_NO_ZERO)
    password: str = Field(max_length=1000, pattern=_NO_ZERO)
    code: str = Field("", max_length=40, pattern=_NO_ZERO, description="of the second step, where the account has one")
    name: str = Field("app", min_length=1, max_length=60, pattern=_NO_ZERO, description="what the token is for")
    days: int = Field(TOKEN_DAYS, ge=1, le=MOST_TOKEN_DAYS, description="after which the token ends")


class NewToken(Schema):
    """Send it as `Authorization: Bearer TOKEN`; it is shown this once.

    It ends after its days, when it is revoked, or with the next change of password.
    """

    model_config = _example({"token": "Vb0n8G...", "username": "admin", "days": 90})

    token: str
    username: str
    days: int


class FilmOut(Schema):
    """A film and, in short, its main answer."""

    model_config = _example(FILM_EXAMPLE)

    id: UUID
    name: str
    patient: str = Field(description="the patient's pseudonym; empty without one")
    side: str = Field(description="`left`, `right` or empty")
    view: str = Field(description="view position as in DICOM, such as `AP`; empty where it is not known")
    taken_on: date | None = Field(description="date of the film")
    label_text: str
    note: str
    age: float | None
    sex: str = Field(description="`female`, `male` or empty")
    weight_kg: float | None
    height_m: float | None
    width: int
    height: int
    format: str
    bytes: int
    uploaded_at: datetime
    state: str = Field(description="`waiting`, `answered` or `refused`")
    headline: str = Field(description="what the main answer leads with, to be shown first; empty without an answer")
    lead: str = Field(description="where it comes from: `image`, `fused`, or `none`: no finding")
    label: str = Field(description="the leading label, or `no finding`; empty without an answer")
    probability: float | None = Field(description="of the leading label; null without one")
    t_score: float | None = Field(description="of the leading part")
    triage: str = Field(description="of the leading part")
    output: str = Field(description="the model's label from the film alone, whether it leads or not")
    outdated: bool = Field(description="whether facts about the patient have changed since the answer was made")
    model: str
    model_version: str
    warnings: list[str] = Field(description="about the picture and the main answer, in plain sentences")
    url: str = Field(description="the film's page")
    duplicate_of: UUID | None = Field(None, description="after an upload: the same bytes were there already")

    @staticmethod
    def resolve_patient(film: Any) -> str:
        """Schema from a row of the database, or from a dictionary made of one."""
        return str(film["patient"]) if isinstance(film, dict) else film.patient_name

    @staticmethod
    def resolve_warnings(film: Any) -> list[str]:
        """Schema from a row of the database, or from a dictionary made of one."""
        return list(film["warnings"]) if isinstance(film, dict) else list(film.all_warnings)


class Difference(Schema):
    """A fact that is not the same for two uploads of a film."""

    name: str
    there: str | float | date | None = Field(description="of the film that is there")
    here: str | float | date | None = Field(description="as it was sent now")


class Known(Schema):
    """The film that is there."""

    duplicate_of: UUID
    url: str = Field(description="the film's page")
    thumb: str
    name: str
    differences: list[Difference]


class KnownAnswer(ErrorAnswer):
    """The same bytes are there with other facts."""

    known: Known


class Problem(Schema):
    """Why there is no answer."""

    code: str
    message: str


class ReadingOut(Schema):
    """Request to one model, and its answer."""

    id: int
    model: str
    state: str = Field(description="`queued`, `answered` or `refused`")
    asked_at: datetime
    answered_at: datetime | None
    answer: Answer | None = Field(description="as the server gave it; `explanations` is empty unless `maps=true`")
    error: Problem | None


class FilmDetail(FilmOut):
    """A film with every answer, earlier ones too, the latest first."""

    model_config = _example(
        FILM_EXAMPLE
        | {
            "readings": [
                {
                    "id": 12, "model": "knee", "state": "answered", "asked_at": "2026-11-24T02:34:27Z",
                    "answered_at": "2026-11-24T02:34:27Z", "answer": ANSWER_EXAMPLE, "error": None,
                }
            ]
        }
    )  # fmt: skip

    readings: list[ReadingOut]


class FilmPage(Schema):
    """A page of films."""

    model_config = _example({"count": 1, "page": 1, "pages": 1, "films": [FILM_EXAMPLE]})

    count: int
    page: int
    pages: int
    films: list[FilmOut]


class Account(Schema):
    """An account by name."""

    model_config = _example({"account": "anna"})

    account: str = Field(max_length=150, pattern=_NO_ZERO, description="as for log-in; empty for nobody")


class Mark(Schema):
    """Whether a film is read."""

    model_config = _example({"read": True})

    read: bool


class NewName(Schema):
    """A patient's new pseudonym."""

    model_config = _example({"name": "P-018"})

    name: str = Field(max_length=40, pattern=_NO_ZERO)


class WorkFilm(FilmOut):
    """A film on a reading list."""

    model_config = _example(WORK_EXAMPLE)

    owner: str = Field(description="whose film it is")
    read_at: datetime | None
    read_by: str = Field(description="empty where it is unread, or the account is closed")
    assigned_to: str = Field(description="the account that is to read it, or empty")

    @staticmethod
    def resolve_owner(film: Any) -> str:
        """Name of the account."""
        return _name_of(film, "owner")

    @staticmethod
    def resolve_read_by(film: Any) -> str:
        """Name of the account."""
        return _name_of(film, "read_by")

    @staticmethod
    def resolve_assigned_to(film: Any) -> str:
        """Name of the account."""
        return _name_of(film, "assigned_to")


def _name_of(film: Any, name: str) -> str:
    if isinstance(film, dict):
        return str(film[name])
    account = getattr(film, name)
    return account.username if account else ""


class WorkPage(Schema):
    """A page of a reading list."""

    model_config = _example({"count": 1, "page": 1, "pages": 1, "films": [WORK_EXAMPLE]})

    count: int
    page: int
    pages: int
    films: list[WorkFilm]


class ShareOut(Schema):
    """A film or patient that an account may see."""

    model_config = _example({"id": 4, "account": "anna", "film": _ID, "patient": None, "at": "2026-11-24T02:34:27Z"})

    id: int
    account: str
    film: UUID | None
    patient: UUID | None = Field(description="then all of the patient's films, later ones too")
    at: datetime

    @staticmethod
    def resolve_account(share: Any) -> str:
        """Name of the account."""
        return str(share["account"]) if isinstance(share, dict) else share.user.username

    @staticmethod
    def resolve_film(share: Any) -> Any:
        """Number of the film, which need not be loaded."""
        return share["film"] if isinstance(share, dict) else share.film_id

    @staticmethod
    def resolve_patient(share: Any) -> Any:
        """Number of the patient, likewise."""
        return share["patient"] if isinstance(share, dict) else share.patient_id


class PatientOut(Schema):
    """A patient under a pseudonym."""

    model_config = _example(PATIENT_EXAMPLE)

    id: UUID
    name: str
    count: int = Field(description="number of films")
    url: str = Field(description="the patient's page")

    @staticmethod
    def resolve_url(patient: Any) -> str:
        """Address of the page."""
        return str(patient["url"]) if isinstance(patient, dict) else patient.get_absolute_url()


class PatientPage(Schema):
    """A page of patients."""

    model_config = _example({"count": 1, "page": 1, "pages": 1, "patients": [PATIENT_EXAMPLE]})

    count: int
    page: int
    pages: int
    patients: list[PatientOut]


class PatientDetail(PatientOut):
    """A patient with all films by side, the earliest first."""

    model_config = _example(PATIENT_EXAMPLE | {"right": [], "left": [FILM_EXAMPLE], "unknown": []})

    right: list[FilmOut]
    left: list[FilmOut]
    unknown: list[FilmOut] = Field(description="films of no known side")
