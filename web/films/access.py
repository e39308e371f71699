"""Ownership of films."""

from uuid import UUID

from accounts.models import User
from django.http import Http404

from films.models import Film


def film_of(user: User, film_id: UUID) -> Film:
    """A film of this user.

    Raises:
        Http404: There is none, or it is somebody else's: nobody can tell which.
    """
    film = Film.objects.filter(pk=film_id, owner=user).first()
    if film is None:
        raise Http404("no such film")
    return film
