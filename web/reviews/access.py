"""Access to films for review, and the record that the answer was seen."""

from typing import Any
from uuid import UUID

from accounts import audit
from accounts.models import User
from django.db.models import Q, QuerySet
from django.http import Http404
from films import sightings
from films.models import Film
from project.request import Request

from reviews.models import Review


def films_for(user: User) -> QuerySet[Film]:
    """Films that this person may review: their own, and with the permission those that others opened."""
    allowed = Q(owner=user)
    if user.can_review:
        allowed |= Q(open_for_review=True)
    return Film.objects.filter(allowed)


def film_for(user: User, film_id: UUID) -> Film:
    """A film that this person may review.

    Raises:
        Http404: There is none: it does not exist, is somebody else's, or is not open any more.
    """
    film = films_for(user).filter(pk=film_id).first()
    if film is None:
        raise Http404("no such film")
    return film


def films_summed_up(user: User) -> QuerySet[Film]:
    """Films whose reviews this person may see together: their own, and those that they reviewed themselves."""
    return films_for(user).filter(Q(owner=user) | Q(pk__in=_reviewed(user)))


def films_without_review(user: User) -> QuerySet[Film]:
    """Films that this person could review next, the oldest first."""
    return films_for(user).exclude(pk__in=_reviewed(user)).order_by("uploaded_at", "pk")


def _reviewed(user: User) -> QuerySet[Review, Any]:
    return Review.objects.filter(reviewer=user).values("film")


def show_answer(request: Request, film: Film) -> None:
    """Note that from now on this person knows the answer."""
    audit.record(request, "view", film.id, "answer shown before the review")
    if film.label:  # there is an answer to show
        sightings.note(request.user, [film.id])
