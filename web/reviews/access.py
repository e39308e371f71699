"""Who may review which film, and who has seen the answer already."""

from typing import Any
from uuid import UUID

from accounts import audit
from accounts.models import AuditEntry, User
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest
from xrays.models import Film

from reviews.models import Review

_SEEN = ("view", "download")


def films_for(user: User) -> QuerySet[Film]:
    """Films that this person may review: their own, and with the permission those that others opened."""
    allowed = Q(owner=user)
    if user.can_review:
        allowed |= Q(open_for_review=True)
    return Film.objects.filter(allowed)


def film_for(user: User, film_id: UUID) -> Film:
    """One of them.

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
    """What this person could review next, the oldest first."""
    return films_for(user).exclude(pk__in=_reviewed(user)).order_by("uploaded_at", "pk")


def _reviewed(user: User) -> QuerySet[Review, Any]:
    return Review.objects.filter(reviewer=user).values("film")


def has_seen(user: User, film: Film) -> bool:
    """Whether the audit log knows that a page or file with the model's answer was shown to this person."""
    return AuditEntry.objects.filter(user=user, film_id=film.id, action__in=_SEEN).exists()


def show_answer(request: HttpRequest, film: Film) -> None:
    """Note that from now on this person knows the answer."""
    audit.record(request, "view", film.id, "answer shown before the review")
