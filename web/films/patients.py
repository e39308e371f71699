"""Patients: whose film it is, under a pseudonym that a person typed or that a DICOM header's number gave."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from accounts.models import User
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext

from films.models import Film, Patient

_SHOWN = 8
"""Characters of a code that make a patient's first name: of 10,000 patients, two share it once in 20,000 times."""


def named(owner: User, name: str) -> Patient | None:
    """The patient of this name, made where there is none; None without a name."""
    return Patient.objects.get_or_create(owner=owner, name=name)[0] if name else None


def coded(owner: User, code: str) -> Patient | None:
    """The patient with this keyed hash, who may have got another name since; None without one."""
    if not code:
        return None
    patient = Patient.objects.filter(owner=owner, code=code).first()
    if patient:
        return patient
    name = code[:_SHOWN]
    if Patient.objects.filter(owner=owner, name=name).exists():
        name = code
    return Patient.objects.get_or_create(owner=owner, code=code, defaults={"name": name})[0]


def fact_of(film: Film, name: str) -> Any:
    """A fact as forms have it: a patient by name."""
    return film.patient_name if name == "patient" else getattr(film, name)


def set_fact(film: Film, name: str, value: Any) -> None:
    """Set a fact from a form, without saving the film; a patient who is not known yet is made."""
    setattr(film, name, named(film.owner, value) if name == "patient" else value)


def tidy(patient_ids: Iterable[UUID | None]) -> None:
    """Delete those who have no film any more."""
    Patient.objects.filter(pk__in={patient_id for patient_id in patient_ids if patient_id}, films=None).delete()


@dataclass(frozen=True)
class Knees:
    """Films of one patient by side, the earliest first; those of no known side apart."""

    right: list[Film]
    left: list[Film]
    unknown: list[Film]

    @property
    def sides(self) -> list[tuple[str, list[Film]]]:
        """The sides that have films, as they hang on a wall: the patient's right on the viewer's left."""
        named_sides = [
            (gettext("Right"), self.right),
            (gettext("Left"), self.left),
            (gettext("Side unknown"), self.unknown),
        ]
        return [(name, films) for name, films in named_sides if films]

    @property
    def comparisons(self) -> list[tuple[str, str]]:
        """Words and addresses of comparisons: first and last film of a side, the latest of both as they hang."""
        words, page = gettext("%(side)s: first beside last"), reverse("films:compare")
        known = [(name, films) for name, films in self.sides if films is not self.unknown]
        pairs = [(words % {"side": name}, films[0], films[-1]) for name, films in known if films[1:]]
        if self.right and self.left:
            pairs.append((gettext("Right beside left"), self.right[-1], self.left[-1]))
        return [(text, f"{page}?films={first.pk}&films={second.pk}") for text, first, second in pairs]

    @property
    def count(self) -> int:
        """Number of films."""
        return len(self.right) + len(self.left) + len(self.unknown)


class Group(NamedTuple):
    """Heading of a patient's films in a list; of films without a patient both are None."""

    patient: Patient | None
    knees: "Knees | None"


def headings(films: Collection[Film], owner: User) -> list[Group | None]:
    """For films in the order of their patients, a heading at the first of each; one query for all headings.

    A heading knows all films of the patient, also those that are not in this list.
    """
    of_patient: dict[UUID | None, list[Film]] = {}
    patient_ids = {film.patient_id for film in films if film.patient_id}
    of_patients = Film.objects.filter(owner=owner, patient__in=patient_ids)
    for film in of_patients.only("patient_id", "side", "taken_on", "uploaded_at"):
        of_patient.setdefault(film.patient_id, []).append(film)
    groups: list[Group | None] = []
    before: Film | None = None
    for film in films:
        heading = None
        if before is None or before.patient_id != film.patient_id:
            heading = Group(film.patient, knees(of_patient.get(film.patient_id, ())) if film.patient else None)
        groups.append(heading)
        before = film
    return groups


def knees(films: Iterable[Film]) -> Knees:
    """A patient's films, sorted."""
    by_side: dict[str, list[Film]] = {"": [], **{side: [] for side in Film.Side.values}}
    for film in sorted(films, key=lambda film: (film.day, film.uploaded_at)):
        by_side[film.side].append(film)
    return Knees(by_side["right"], by_side["left"], by_side[""])


@dataclass(frozen=True)
class Relatives:
    """What a film is looked at beside.

    Attributes:
        knees: All films of the patient.
        pairs: Words and the two films of each comparison that is one click away, left and right as they hang.
    """

    knees: Knees
    pairs: list[tuple[str, tuple[Film, Film]]]


def relatives(film: Film, films: Iterable[Film]) -> Relatives | None:
    """The other knee and the earlier films of the same knee; None where the patient has no other film.

    Args:
        film: The film that is shown.
        films: The patient's films that may be shown, this one among them.
    """
    all_knees = knees(films)
    others = [other for _, side in all_knees.sides for other in side if other.pk != film.pk]
    if not others:
        return None
    pairs: list[tuple[str, tuple[Film, Film]]] = []
    opposite = {"left": all_knees.right, "right": all_knees.left}.get(film.side, [])
    if opposite:
        nearest = min(opposite, key=lambda other: (abs(other.day - film.day), other.pk))
        pair = (film, nearest) if film.side == "right" else (nearest, film)
        beside = gettext("Beside the left knee") if nearest.side == "left" else gettext("Beside the right knee")
        pairs.append((beside, pair))
    same = [other for other in others if film.side and other.side == film.side]
    earlier = [other for other in same if (other.day, other.uploaded_at) < (film.day, film.uploaded_at)]
    beside = gettext("Beside %(day)s")
    pairs += [
        (beside % {"day": date_format(other.day, "SHORT_DATE_FORMAT")}, (other, film)) for other in reversed(earlier)
    ]
    return Relatives(all_knees, pairs)
