"""Everything that was uploaded: search, and what can be done to many films."""

from urllib.parse import urlencode
from uuid import UUID

from accounts import audit
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from project.request import Request

from films import answering, retention, sightings, tables
from films.forms import HistoryForm
from films.models import Film

PER_PAGE = 50
MOST_SELECTED = 500


def films_of(request: Request) -> tuple[HistoryForm, QuerySet[Film], int]:
    """The filters of a request, the films that pass them in order, and how many there are without them."""
    films = Film.objects.filter(owner=request.user).select_related("patient")
    counts = dict(films.values_list("label").annotate(Count("pk")).order_by("label"))
    form = HistoryForm(request.GET, [label for label in counts if label])
    return form, form.narrow(films), sum(counts.values())


@require_safe
def history(request: Request) -> HttpResponse:
    """A page of films; only its rows where htmx asks."""
    form, films, total = films_of(request)
    page = Paginator(films, PER_PAGE).get_page(request.GET.get("page"))
    page.object_list = list(sightings.showing(request.user, page.object_list))
    audit.record(request, "list", detail=f"history, {len(page.object_list)} films")
    query = [(name, value) for name, value in request.GET.items() if name != "page" and value]
    context = {
        "page": page,
        "filter_form": form,
        "query": urlencode(query),
        "filtered": form.is_narrow,
        "total": total,
        "by_patient": form.cleaned_data.get("sort") == "patient",
    }
    part = request.htmx and not request.htmx.boosted and not request.htmx.history_restore_request
    return render(request, "films/_history_rows.html" if part else "films/history.html", context)


@require_safe
def export_csv(request: Request) -> HttpResponseBase:
    """All films that pass the filters, as a table."""
    _, films, _ = films_of(request)
    audit.record(request, "export", detail=f"table of {films.count()} films")
    return tables.films_csv(sightings.showing(request.user, films.iterator()))


@require_POST
def selected(request: Request) -> HttpResponseBase:
    """Delete, re-read, export or compare the films that were ticked."""
    film_ids = ticked(request)
    films = Film.objects.filter(owner=request.user, pk__in=film_ids)
    match request.POST.get("action"):
        case "delete":
            _delete(request, film_ids)
        case "reread":
            _reread(request, films)
        case "export":
            chosen = list(films.order_by("-uploaded_at"))
            audit.record_all(request, "export", [film.id for film in chosen])
            return tables.films_csv(sightings.showing(request.user, chosen))
        case "compare":
            if films.count() == 2:
                return redirect(f"{reverse('films:compare')}?{urlencode([('films', film_id) for film_id in film_ids])}")
            messages.error(request, "Tick exactly two films to compare them.")
        case _:
            messages.error(request, "Nothing was done: choose delete, re-read, export or compare.")
    query = request.POST.get("next", "").lstrip("?")
    return redirect(f"{reverse('films:history')}?{query}" if query else "films:history")


def ticked(request: Request) -> list[UUID]:
    """The ticked films; what is no film's number is passed over."""
    film_ids = []
    for text in request.POST.getlist("films")[:MOST_SELECTED]:
        try:
            film_ids.append(UUID(text))
        except ValueError:
            continue
    return film_ids


def _delete(request: Request, film_ids: list[UUID]) -> None:
    deleted = retention.delete_films(request.user.pk, film_ids)
    audit.record_all(request, "delete", deleted)
    gone = len(film_ids) - len(deleted)
    messages.success(request, f"{_films(len(deleted))} deleted." + (f" {gone} not there any more." if gone else ""))


def _reread(request: Request, films: QuerySet[Film]) -> None:
    """Only put in line: the queue's worker asks, as this may be hundreds of questions."""
    with transaction.atomic():
        locked = list(films.select_for_update())
        for film in locked:
            answering.enqueue(film)
    audit.record_all(request, "re-read", [film.id for film in locked])
    messages.success(request, f"{_films(len(locked))} will be read again.")


def _films(count: int) -> str:
    return f"{count} film{'' if count == 1 else 's'}"
