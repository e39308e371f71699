"""Pictures for reviewers; each goes through the check whether they may see it."""

from uuid import UUID

from accounts import audit
from django.http import Http404, HttpResponseBase
from django.views.decorators.http import require_safe
from films import exporting, sending, storage
from films.models import Reading
from project.request import Request

from reviews import access
from reviews.models import Review
from reviews.presenting import case_of, others_of


@require_safe
def picture(request: Request, film_id: UUID) -> HttpResponseBase:
    """The film as shown."""
    film = access.film_for(request.user, film_id)
    audit.record_once(request, "picture", film.id, "review")
    return sending.picture(request, storage.folder(film.id) / storage.DISPLAY, "image/png")


@require_safe
def values(request: Request, film_id: UUID) -> HttpResponseBase:
    """Grey values of a deep film; 204 for other films."""
    film = access.film_for(request.user, film_id)
    audit.record_once(request, "picture", film.id, "review")
    return sending.values(request, film)


@require_safe
def thumb(request: Request, film_id: UUID) -> HttpResponseBase:
    """A small JPEG of it."""
    film = access.film_for(request.user, film_id)
    audit.record_once(request, "thumbnail", film.id, "review")
    return sending.picture(request, storage.folder(film.id) / storage.THUMB, "image/jpeg")


@require_safe
def heat_map(request: Request, film_id: UUID, reading: int, label: str) -> HttpResponseBase:
    """A class's map; not while the answer is hidden."""
    case = case_of(request.user, access.film_for(request.user, film_id))
    row = case.film.readings.filter(pk=reading, state=Reading.State.ANSWERED).first() if case.shown else None
    path = exporting.map_path(row, label) if row else None
    if path is None:
        raise Http404("no such map, or not yet")
    audit.record_once(request, "map", case.film.id, "review")
    return sending.picture(request, path, "image/png")


@require_safe
def region(request: Request, film_id: UUID, review: int) -> HttpResponseBase:
    """A drawn region: one's own, and somebody else's once it cannot influence the own review."""
    case = case_of(request.user, access.film_for(request.user, film_id))
    visible: list[Review] = [*([case.review] if case.review else []), *others_of(case, request.user)]
    path = next((other.region_path for other in visible if other.pk == review), None)
    if path is None:
        raise Http404("no such region, or not yet")
    audit.record_once(request, "region", case.film.id, "review")
    return sending.picture(request, path, "image/png")
