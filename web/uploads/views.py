"""The upload page, and the address that takes one film at a time."""

from accounts import audit
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe
from films import lists, sightings, terms
from films.cards import helpful_facts
from films.forms import FactsForm
from films.models import Film
from project.errors import input_error
from project.request import Request

from osteolens.errors import EmptyInput, InputError, InvalidOption
from osteolens.films.read import SUPPORTED
from osteolens.rows import ErrorAnswer
from uploads import intake
from uploads.forms import UploadForm, first_error
from uploads.known import KnownFilm

LAST_FILMS = 12
ACCEPT = (
    ".jpg,.jpeg,.png,.tif,.tiff,.bmp,.webp,.dcm,.dicom,.zip,"
    "image/jpeg,image/png,image/tiff,image/bmp,image/webp,application/dicom"
)


@require_safe
def upload(request: Request) -> HttpResponse:
    """Page where films are dropped."""
    last = Film.objects.filter(owner=request.user).select_related("patient").order_by("-uploaded_at")[:LAST_FILMS]
    films = list(sightings.showing(request.user, last))
    audit.record(request, "list", detail=f"upload page, {len(films)} films")
    first = helpful_facts(settings.MODELS[0])
    context = {
        "rows": lists.history(films, with_patient=False),
        "main_model": settings.MODELS[0],
        "asked_first": terms.facts(first) if first else "",
        "first_form": FactsForm.of(first),
        "facts_form": FactsForm.of([name for name in FactsForm.base_fields if name not in first]),
        "accept": ACCEPT,
        "accepted": gettext("%(first)s or %(last)s") % {"first": ", ".join(SUPPORTED[:-1]), "last": SUPPORTED[-1]},
    }
    return render(request, "uploads/upload.html", context)


@require_POST
def upload_file(request: Request) -> HttpResponse:
    """Take one film: 201 and its address, 200 if it was there already, or why it cannot be read.

    A film that is there with other facts is 409: the answer offers to keep both or to change the one that is there.
    """
    try:
        film, created = receive(request)
    except KnownFilm as error:
        return known_film(error)
    except InputError as error:
        return input_error(error)
    return JsonResponse(
        {
            "id": str(film.id),
            "url": film.get_absolute_url(),
            "thumb": reverse("films:thumb", args=[film.id]),
            "name": film.name,
            "state": film.state,
            "label": film.label,
            "headline": terms.headline(film.headline),
            "triage": terms.word(film.triage),
            "warnings": [terms.sentence(warning) for warning in film.all_warnings],
            "duplicate_of": None if created else str(film.id),
        },
        status=201 if created else 200,
    )


def receive(request: Request) -> tuple[Film, bool]:
    """The film of a multipart request, for the page and the API alike.

    Raises:
        InputError: No film, or one that cannot be used, or a fact that makes no sense, or too many films.
    """
    intake.check_rate(request.user)
    try:
        film, created, changed = _receive(request)
    except InputError as error:
        audit.record(request, intake.UPLOAD, detail=error.code)  # bad files count towards the limit too
        raise
    if not created:
        audit.record(request, intake.UPLOAD, film.id, "was there already")
    if changed:
        audit.record(request, "edit", film.id, ", ".join(changed))
    if film.label:
        sightings.note(request.user, [film.id])
    return film, created


def _receive(request: Request) -> intake.Received:
    file = request.FILES.get("file")
    if file is None:
        raise NoFile(gettext("the request holds no file"), gettext("send one film as the form part `file`"))
    # Django takes the last of several values and drops the others without a word.
    repeated = [name for name, values in request.POST.lists() if len(values) > 1]
    if repeated:
        raise InvalidOption(f"{repeated[0]} comes {len(request.POST.getlist(repeated[0]))} times", "send it once")
    form = UploadForm(request.POST)
    if not form.is_valid():
        raise InvalidOption(*first_error(form))
    facts = dict(form.cleaned_data)
    if_known = facts.pop("if_known")

    def note(film: Film) -> None:
        audit.record(request, intake.UPLOAD, film.id)

    return intake.receive(request.user, file.name or "", file.read(), facts, if_known, note)


def known_film(error: KnownFilm) -> HttpResponse:
    """409 with the differences and the film that is there; nothing in it shows the answer."""
    film = error.film
    known = {
        "duplicate_of": str(film.id),
        "url": film.get_absolute_url(),
        "thumb": reverse("films:thumb", args=[film.id]),
        "name": film.name,
        "differences": [{"name": name, "there": there, "here": here} for name, there, here in error.differences],
    }
    row = ErrorAnswer.of(error).model_dump(by_alias=True)
    return JsonResponse(row | {"known": known}, status=error.status)


class NoFile(EmptyInput):
    """A form without a film."""

    code = "no_file"


@require_safe
@login_not_required
def session(request: HttpRequest) -> HttpResponse:
    """Name of the person who is logged in, and a fresh token, for films that were queued while offline."""
    name = request.user.get_username() if request.user.is_authenticated else None
    return JsonResponse({"user": name, "csrf": get_token(request)})
