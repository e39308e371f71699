"""Who may see a film: its owner, who has it assigned, and accounts that it or its patient is shared with."""

from uuid import UUID

from accounts.models import User
from django.db.models import Q, QuerySet
from django.http import Http404

from films.models import Film, Patient, Share


def visible_to(user: User) -> QuerySet[Film]:
    """All films that this person may see."""
    shares = Share.objects.filter(user=user)
    shared = Q(pk__in=shares.values("film")) | Q(patient__in=shares.values("patient"))
    return Film.objects.filter(Q(owner=user) | Q(assigned_to=user) | shared)


def film_of(user: User, film_id: UUID) -> Film:
    """A film of this user, to be changed.

    Raises:
        Http404: There is none, or it is somebody else's: nobody can tell which.
    """
    return _the_one(Film.objects.filter(owner=user), film_id)


def film_for(user: User, film_id: UUID) -> Film:
    """A film that this user may see.

    Raises:
        Http404: As `film_of`.
    """
    return _the_one(visible_to(user), film_id)


def patient_of(user: User, patient_id: UUID) -> Patient:
    """A patient of this user.

    Raises:
        Http404: There is none, or it is somebody else's.
    """
    patient = Patient.objects.filter(pk=patient_id, owner=user).first()
    if patient is None:
        raise Http404("no such patient")
    return patient


def _the_one(films: QuerySet[Film], film_id: UUID) -> Film:
    film = films.select_related("owner", "patient", "origin", "read_by", "assigned_to").filter(pk=film_id).first()
    if film is None:
        raise Http404("no such film")
    return film
