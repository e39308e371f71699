"""Everything that was uploaded: search, and what can be done to many films."""

from collections.abc import Iterable
from urllib.parse import urlencode
from uuid import UUID

from accounts import audit
from django.contrib import messages
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe
from project.request import Request

from films import answering, bulk, lists, patients, retention, sightings, tables
from films.bulk import BulkForm
from films.forms import HistoryForm
from films.lists import PER_PAGE
from films.models import Film
from films.progress import progress

MOST_SELECTED = 10_000


def films_of(request: Request) -> tuple[HistoryForm, QuerySet[Film], int]:
    """The filters of a request, the films that pass them in order, and how many there are without them."""
    films = Film.objects.filter(owner=request.user).select_related("patient")
    counts = dict(films.values_list("label").annotate(films=Count("*")).order_by("label"))
    form = HistoryForm(request.GET, [label for label in counts if label])
    return form, form.narrow(films), sum(counts.values())


@require_safe
def history(request: Request) -> HttpResponse:
    """A page of films; only its rows where htmx or the page itself asks."""
    form, films, total = films_of(request)
    page = lists.page_of(films, request.GET.get("page"), None if form.is_narrow else total)
    shown = list(sightings.showing(request.user, page))
    by_patient = form.order == "patient"
    rows = lists.history(shown, with_patient=not by_patient)
    headings = patients.headings(shown, request.user) if by_patient else [None] * len(rows)
    query = [(name, value) for name, value in request.GET.items() if name != "page" and value]
    context = {
        "page": page,
        "filter_form": form,
        "headers": form.headers,
        "query": urlencode(query),
        "query_to_sort": urlencode([(name, value) for name, value in query if name != "sort"]),
        "filtered": form.is_narrow,
        "total": total,
        "by_patient": by_patient,
        "rows": list(zip(rows, headings, strict=True)),
    }
    if request.htmx and not request.htmx.boosted and not request.htmx.history_restore_request:
        # The page asks again and again while films are read: one line stands for the same list.
        audit.record_once(request, "list", detail=f"history, {len(rows)} films")
        return render(request, "films/_history_rows.html", context)
    audit.record(request, "list", detail=f"history, {len(rows)} films")
    context |= {"deletions": retention.deletions(request.user), "progress": progress(request.user)}
    return render(request, "films/history.html", context)


@require_safe
def state(request: Request) -> HttpResponse:
    """How far the films are that are being read, since `?since=` or the oldest question; the line as HTML."""
    try:
        since = parse_datetime(request.GET.get("since", ""))
    except ValueError:
        since = None
    shown = progress(request.user, since if since and since.tzinfo else None)
    numbers = {name: getattr(shown, name) for name in ("since", "total", "waiting", "failures")}
    return JsonResponse(numbers | {"line": render_to_string("films/_progress.html", {"progress": shown}, request)})


@require_safe
def matching(request: Request) -> HttpResponse:
    """Numbers of all films that pass the filters, in order."""
    _form, films, _total = films_of(request)
    return JsonResponse({"films": list(films.values_list("pk", flat=True)[:MOST_SELECTED]), "per_page": PER_PAGE})


@require_safe
def export_csv(request: Request) -> HttpResponseBase:
    """All films that pass the filters, as a table."""
    _form, films, _total = films_of(request)
    audit.record(request, "export", detail=f"table of {films.count()} films")
    return tables.films_csv(sightings.showing(request.user, films.iterator()))


@require_POST
def selected(request: Request) -> HttpResponseBase:
    """Delete, re-read, change, export or compare the films that were chosen."""
    film_ids = chosen(request)
    films = Film.objects.filter(owner=request.user, pk__in=film_ids)
    match request.POST.get("action"):
        case "delete":
            deleted = retention.delete(request.user, film_ids)
            audit.record_all(request, "delete", deleted)
            if gone := len(film_ids) - len(deleted):
                messages.info(
                    request,
                    ngettext("%(n)s was not there any more.", "%(n)s were not there any more.", gone)
                    % {"n": _films(gone)},
                )
        case "reread":
            _reread(request, films)
        case "edit":
            return _edit_page(request, list(films.select_related("patient", "assigned_to")), BulkForm())
        case "export":
            rows = list(films.select_related("patient").order_by("-uploaded_at", "pk"))
            audit.record_all(request, "export", [film.id for film in rows])
            return tables.films_csv(sightings.showing(request.user, rows))
        case "compare":
            if films.count() == 2:
                return redirect(f"{reverse('films:compare')}?{urlencode([('films', film_id) for film_id in film_ids])}")
            messages.error(request, _("Tick exactly two films to compare them."))
        case _other:
            messages.error(request, _("Nothing was done: choose delete, re-read, edit, export or compare."))
    return _back(request)


@require_POST
def edit_selected(request: Request) -> HttpResponse:
    """Show what the form would change of the chosen films, or change it."""
    film_ids, form = chosen(request), BulkForm(request.POST)
    films = Film.objects.filter(owner=request.user, pk__in=film_ids).select_related("patient", "assigned_to")
    if not form.is_valid():
        return _edit_page(request, list(films), form, status=400)
    if request.POST.get("step") != "apply":
        return _edit_page(request, list(films), form, bulk.preview(form, list(films)))
    changed = bulk.apply(form, request.user, film_ids)
    audit.record_all(request, "edit", changed, ", ".join(form.values))
    messages.success(request, ngettext("%(n)s changed.", "%(n)s changed.", len(changed)) % {"n": _films(len(changed))})
    return _back(request)


@require_POST
def undo(request: Request) -> HttpResponse:
    """Bring back the films of one deletion."""
    try:
        deleted_at = parse_datetime(request.POST.get("deletion", ""))
    except ValueError:
        deleted_at = None
    back = retention.undo(request.user, deleted_at) if deleted_at and deleted_at.tzinfo else []
    audit.record_all(request, "undo delete", back)
    if back:
        messages.success(request, ngettext("%(n)s is back.", "%(n)s are back.", len(back)) % {"n": _films(len(back))})
    else:
        messages.error(request, _("It is too late: these films were removed."))
    return _back(request)


def chosen(request: HttpRequest) -> list[UUID]:
    """The ticked films, and those that the page remembers as chosen; what is no film's number is passed over."""
    texts = [*request.POST.getlist("films"), *request.POST.get("chosen", "").split(",")]
    return list(dict.fromkeys(_numbers(texts)))[:MOST_SELECTED]


def _numbers(texts: Iterable[str]) -> Iterable[UUID]:
    for text in texts:
        try:
            yield UUID(text)
        except ValueError:
            continue


def _edit_page(
    request: Request, films: list[Film], form: BulkForm, changes: list[bulk.Change] | None = None, status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "count": len(films),
        "chosen": ",".join(str(film.pk) for film in films),
        "changes": changes,
        "next": request.POST.get("next", ""),
    }
    return render(request, "films/bulk.html", context, status=status)


def _back(request: Request) -> HttpResponse:
    query = request.POST.get("next", "").lstrip("?")
    return redirect(f"{reverse('films:history')}?{query}" if query else "films:history")


def _reread(request: Request, films: QuerySet[Film]) -> None:
    """Only put in line: the queue's worker asks, as this may be hundreds of questions."""
    with transaction.atomic():
        locked = list(films.select_for_update())
        for film in locked:
            answering.enqueue(film)
    audit.record_all(request, "re-read", [film.id for film in locked])
    messages.success(request, _("%(n)s will be read again.") % {"n": _films(len(locked))})


def _films(count: int) -> str:
    return ngettext("%(count)d film", "%(count)d films", count) % {"count": count}
