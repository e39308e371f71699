"""Work in a team: reading lists, and what is marked, assigned and shared."""

from uuid import UUID

from accounts import audit
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST, require_safe
from project.request import Request

from films import lists, sightings, working
from films.access import film_for, film_of, patient_of, visible_to
from films.models import Film, Patient
from films.views.history import chosen
from films.working import VIEWS, ColleagueForm


@require_safe
def worklist(request: Request) -> HttpResponse:
    """A page of one reading list."""
    view = request.GET.get("view", "unread")
    if view not in VIEWS:
        raise Http404("no such list")
    numbers = working.counts(request.user)
    page = lists.page_of(working.films_of(request.user, view), request.GET.get("page"), numbers[view])
    shown = list(sightings.showing(request.user, page))
    audit.record(request, "list", detail=f"worklist, {len(shown)} films")
    context = {
        "page": page,
        "rows": lists.worklist(shown, request.user),
        "view": view,
        "lists": [(name, words, numbers[name]) for name, words in VIEWS.items()],
    }
    return render(request, "films/worklist.html", context)


@require_POST
def selected(request: Request) -> HttpResponse:
    """Mark or assign the films that were ticked."""
    films = visible_to(request.user).filter(pk__in=chosen(request))
    match request.POST.get("action"):
        case "read" | "unread" as action:
            _mark(request, films, action)
        case "assign":
            _assign(request, list(films))
        case _:
            messages.error(request, gettext("Nothing was done: choose to mark or to assign."))
    view = request.POST.get("view", "")
    return redirect(f"{reverse('films:worklist')}?view={view if view in VIEWS else 'unread'}")


@require_POST
def mark(request: Request, film_id: UUID) -> HttpResponse:
    """Mark a film as read, or as unread."""
    film = film_for(request.user, film_id)
    _mark(request, Film.objects.filter(pk=film.pk), "unread" if request.POST.get("action") == "unread" else "read")
    return redirect(film)


@require_POST
def assign(request: Request, film_id: UUID) -> HttpResponse:
    """Assign a film to a colleague, who may see it from then on; to nobody without a name."""
    film = film_for(request.user, film_id)
    if not working.assignable([film], request.user):
        raise Http404("somebody else's film")
    _assign(request, [film])
    return redirect(film)


@require_POST
def share_film(request: Request, film_id: UUID) -> HttpResponse:
    """Show a film to a named account as well."""
    film = film_of(request.user, film_id)
    _share(request, film=film)
    return redirect(film)


@require_POST
def share_patient(request: Request, patient_id: UUID) -> HttpResponse:
    """Show all films of a patient, later ones too, to a named account as well."""
    patient = patient_of(request.user, patient_id)
    _share(request, patient=patient)
    return redirect(patient)


@require_POST
def unshare(request: Request, share_id: int) -> HttpResponse:
    """End a share of one's own."""
    share = working.share_of(request.user, share_id)
    share.delete()
    audit.record(request, "unshare", share.film_id, share.user.username)
    messages.success(request, gettext("%(name)s does not see it any more.") % {"name": share.user.username})
    return redirect(share.film or share.patient)  # type: ignore[arg-type]  # one of the two, by a constraint


def _mark(request: Request, films: QuerySet[Film], action: str) -> None:
    film_ids = list(films.values_list("pk", flat=True))
    count = working.mark(films, request.user, read=action == "read")
    audit.record_all(request, f"mark {action}", film_ids)
    words = ngettext("%(count)s film marked as unread.", "%(count)s films marked as unread.", count)
    if action == "read":
        words = ngettext("%(count)s film marked as read.", "%(count)s films marked as read.", count)
    messages.success(request, words % {"count": count})


def _assign(request: Request, films: list[Film]) -> None:
    allowed = working.assignable(films, request.user)
    colleague = None
    if request.POST.get("name", "").strip():
        form = ColleagueForm(request.POST)
        if not form.is_valid():
            messages.error(request, str(form.errors["name"][0]))
            return
        colleague = form.cleaned_data["name"]
    Film.objects.filter(pk__in=[film.pk for film in allowed]).update(assigned_to=colleague)
    whom = colleague.username if colleague else "nobody"
    audit.record_all(request, "assign", [film.pk for film in allowed], whom)
    count = len(allowed)
    words = ngettext("%(count)s film assigned to %(name)s.", "%(count)s films assigned to %(name)s.", count)
    messages.success(request, words % {"count": count, "name": colleague.username if colleague else gettext("nobody")})


def _share(request: Request, *, film: Film | None = None, patient: Patient | None = None) -> None:
    form = ColleagueForm(request.POST)
    if not form.is_valid():
        messages.error(request, str(form.errors["name"][0]))
        return
    colleague = form.cleaned_data["name"]
    if colleague == request.user:
        messages.error(request, gettext("It is yours already."))
        return
    working.share(colleague, film=film, patient=patient)
    audit.record(request, "share", film.pk if film else None, colleague.username)
    messages.success(request, gettext("%(name)s sees it, too.") % {"name": colleague.username})
