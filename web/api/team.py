"""The API's worklist, patients and shares: who reads what, whose films they are, and who sees them."""

from typing import Any, Literal
from uuid import UUID

from accounts import audit
from accounts.models import User
from django.db import IntegrityError, transaction
from django.db.models import Count, Q
from django.http import Http404
from films import patients, sightings, working
from films.access import film_for, film_of, patient_of
from films.models import Film, Patient, Share
from films.views.patient import NameForm
from films.working import ColleagueForm
from ninja import Field, Query, Router, Status
from project import erasing
from project.errors import error_json
from project.request import Request

from api.paging import Page, check_names, page_of
from api.schemas import Account, Mark, NewName, PatientDetail, PatientPage, ShareOut, WorkFilm, WorkPage
from osteolens.errors import InvalidOption
from osteolens.rows import ErrorAnswer

router = Router(by_alias=True)
_REFUSED = {400: ErrorAnswer, 401: ErrorAnswer, 404: ErrorAnswer}


class WorkFilters(Page):
    """Reading list, and which of its films; what is not among these is 400."""

    view: Literal[*working.VIEWS] = Field(  # type: ignore[valid-type]  # the names are in one place
        "unread", description="`new`: of the last day; `refer`: the most urgent first; `mine`: assigned to you"
    )
    state: Literal["", "waiting", "answered", "refused"] = ""


class PatientFilters(Page):
    """Which patients; what is not among these is 400."""

    q: str = Field("", max_length=40, pattern=r"^[^\x00]*$", description="part of the pseudonym")


@router.get("/worklist", tags=["work"], response={200: WorkPage} | _REFUSED)
def worklist(request: Request, filters: Query[WorkFilters]) -> Any:
    """A reading list over all films that you may see, a page at a time; a page beyond the last one is empty."""
    check_names(request, WorkFilters)
    films = working.films_of(request.user, filters.view)
    if filters.state:
        films = films.filter(state=filters.state)
    page = page_of(films, filters)
    page["films"] = list(sightings.showing(request.user, page.pop("rows")))
    audit.record(request, "list", detail=f"API, worklist, {len(page['films'])} films")
    return page


@router.post("/films/{film_id}/mark", tags=["work"], response={200: WorkFilm} | _REFUSED)
def mark(request: Request, film_id: UUID, mark: Mark) -> Any:
    """Mark a film as read by you, or as unread."""
    film = film_for(request.user, film_id)
    working.mark(Film.objects.filter(pk=film.pk), request.user, read=mark.read)
    audit.record(request, f"mark {'read' if mark.read else 'unread'}", film.pk, "API")
    return _shown(request, film_id)


@router.post("/films/{film_id}/assign", tags=["work"], response={200: WorkFilm} | _REFUSED)
def assign(request: Request, film_id: UUID, account: Account) -> Any:
    """Assign a film of yours, or one that is assigned to you, to an account, which may see it from then on."""
    film = film_for(request.user, film_id)
    if not working.assignable([film], request.user):
        raise Http404("somebody else's film")
    colleague = _colleague(account.account) if account.account else None
    Film.objects.filter(pk=film.pk).update(assigned_to=colleague)
    audit.record(request, "assign", film.pk, f"API, {colleague or 'nobody'}")
    film.assigned_to = colleague
    sightings.note(request.user, [film.pk] if film.label else [])
    return film


@router.get("/films/{film_id}/shares", tags=["shares"], response={200: list[ShareOut]} | _REFUSED)
def list_film_shares(request: Request, film_id: UUID) -> Any:
    """Whom a film of yours is shown to, by itself or with its patient."""
    return working.shares_of(film_of(request.user, film_id))


@router.post("/films/{film_id}/shares", tags=["shares"], response={200: ShareOut, 201: ShareOut} | _REFUSED)
def share_film(request: Request, film_id: UUID, account: Account) -> Any:
    """Show a film of yours to a named account: 201, or 200 if it could see it before."""
    return _share(request, account.account, film=film_of(request.user, film_id))


@router.get("/patients", tags=["patients"], response={200: PatientPage} | _REFUSED)
def list_patients(request: Request, filters: Query[PatientFilters]) -> Any:
    """Your patients by pseudonym, a page at a time; a page beyond the last one is empty."""
    check_names(request, PatientFilters)
    rows = Patient.objects.filter(owner=request.user, name__icontains=filters.q)
    rows = rows.annotate(count=Count("films", filter=Q(films__deleted_at=None))).filter(count__gt=0)
    page = page_of(rows.order_by("name", "pk"), filters)
    page["patients"] = list(page.pop("rows"))
    audit.record(request, "list", detail=f"API, {len(page['patients'])} patients")
    return page


@router.get("/patients/{patient_id}", tags=["patients"], response={200: PatientDetail} | _REFUSED)
def show_patient(request: Request, patient_id: UUID) -> Any:
    """A patient of yours with all films by side, the earliest first."""
    patient = patient_of(request.user, patient_id)
    audit.record(request, "list", detail="API, films of a patient")
    films = list(sightings.showing(request.user, patient.films.select_related("patient")))
    knees = patients.knees(films)
    return {
        "id": patient.pk, "name": patient.name, "count": knees.count, "url": patient.get_absolute_url(),
        "right": knees.right, "left": knees.left, "unknown": knees.unknown,
    }  # fmt: skip


@router.patch("/patients/{patient_id}", tags=["patients"], response={200: PatientDetail, 409: ErrorAnswer} | _REFUSED)
def rename_patient(request: Request, patient_id: UUID, name: NewName) -> Any:
    """Give a patient another pseudonym."""
    patient = patient_of(request.user, patient_id)
    form = NameForm({"name": name.name})
    if not form.is_valid():
        raise InvalidOption(f"name: {form.errors['name'][0]}", "for example P-018")
    try:
        with transaction.atomic():
            Patient.objects.filter(pk=patient.pk).update(name=form.cleaned_data["name"])
            transaction.on_commit(erasing.empty_log)
    except IntegrityError:
        return error_json(409, "name_taken", "another patient of yours is called so", "choose another, such as P-018")
    audit.record(request, "edit", detail="API, a patient's pseudonym")
    return show_patient(request, patient_id)


@router.get("/patients/{patient_id}/shares", tags=["shares"], response={200: list[ShareOut]} | _REFUSED)
def list_patient_shares(request: Request, patient_id: UUID) -> Any:
    """Whom all films of a patient of yours are shown to."""
    return patient_of(request.user, patient_id).shares.select_related("user").order_by("user__username")


@router.post("/patients/{patient_id}/shares", tags=["shares"], response={200: ShareOut, 201: ShareOut} | _REFUSED)
def share_patient(request: Request, patient_id: UUID, account: Account) -> Any:
    """Show all films of a patient of yours, later ones too, to a named account."""
    return _share(request, account.account, patient=patient_of(request.user, patient_id))


@router.delete("/shares/{share_id}", tags=["shares"], response={204: None} | _REFUSED)
def end_share(request: Request, share_id: int) -> Any:
    """End a share of a film or patient of yours."""
    share = working.share_of(request.user, share_id)
    share.delete()
    audit.record(request, "unshare", share.film_id, f"API, {share.user.username}")
    return Status(204, None)


def _shown(request: Request, film_id: UUID) -> Film:
    film = film_for(request.user, film_id)
    sightings.note(request.user, [film.pk] if film.label else [])
    return film


def _share(request: Request, name: str, *, film: Film | None = None, patient: Patient | None = None) -> Any:
    colleague = _colleague(name)
    if colleague == request.user:
        raise InvalidOption("account: it is yours already", "name another account, such as anna")
    is_new = working.share(colleague, film=film, patient=patient)
    audit.record(request, "share", film.pk if film else None, f"API, {colleague.username}")
    share = Share.objects.select_related("user").get(user=colleague, film=film, patient=patient)
    return Status(201 if is_new else 200, share)


def _colleague(name: str) -> User:
    form = ColleagueForm({"name": name})
    if not form.is_valid():
        raise InvalidOption(f"account: {form.errors['name'][0]}", "an account's name as for log-in, such as anna")
    colleague: User = form.cleaned_data["name"]
    return colleague
