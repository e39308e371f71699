"""Two films side by side."""

from uuid import UUID

from accounts import audit
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from project.request import Request

from films import sightings, wording
from films.access import film_for
from films.presenting import reading_view, viewer_data
from films.readings import readings_of


@require_safe
def compare(request: Request) -> HttpResponse:
    """The films of `?films=a&films=b`."""
    try:
        film_ids = [UUID(text) for text in request.GET.getlist("films")]
    except ValueError:
        raise Http404("not a film's number") from None
    if len(film_ids) != 2:
        raise Http404("two films are compared")
    sides = []
    for film in [film_for(request.user, film_id) for film_id in film_ids]:
        readings = readings_of(film)
        audit.record(request, "view", film.id, "compared")
        if readings.current:
            sightings.note(request.user, [film.id])
        views = [reading_view(film, reading) for reading in readings.current]
        sides.append({"film": film, "readings": views, "viewer_data": viewer_data(film, readings)})
    return render(request, "films/compare.html", {"sides": sides, "outdated_words": wording.OUTDATED})
