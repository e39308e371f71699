"""The API for other apps; /api/docs shows and tries it."""

from datetime import date
from typing import Any, Literal
from uuid import UUID

from accounts import audit, second_factor
from accounts.models import Token
from django.conf import settings
from django.contrib.auth import authenticate
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from films import answering, exporting, retention, sending, sightings
from films.access import film_for, film_of
from films.forms import SORTS
from films.models import Reading
from films.presenting import problem
from films.readings import readings_of
from films.views.history import films_of
from ninja import Field, File, Form, NinjaAPI, Query, Schema, Status, UploadedFile
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer
from project.context import RESEARCH_ONLY
from project.errors import error_json, input_error
from project.request import Request
from uploads.known import IfKnown, KnownFilm
from uploads.views import known_film, receive

from api import team
from api.faults import malformed, refused
from api.paging import Page, check_names, page_of
from api.schemas import FilmDetail, FilmOut, FilmPage, KnownAnswer, LogIn, NewToken
from osteolens import __version__
from osteolens.errors import InputError
from osteolens.rows import ErrorAnswer


class Bearer(HttpBearer):
    """`Authorization: Bearer TOKEN`."""

    def authenticate(self, request: HttpRequest, token: str) -> Token | None:
        """The token, if it is somebody's; the request is theirs from here on."""
        stored = Token.find(token)
        if stored:
            request.user = stored.user
        return stored


api = NinjaAPI(
    title="OsteoLens",
    version=__version__,
    description=f"Send knee films, get answers and heat maps. {RESEARCH_ONLY} First get a token from `/api/token`, "
    "then send it with every request as `Authorization: Bearer TOKEN` (the button *Authorize* does so here).",
    auth=Bearer(),
    urls_namespace="api",
)


api.add_router("", team.router)


class Facts(Schema):
    """Facts about the patient; everything may be left out."""

    patient: str = Field("", max_length=40, description="a pseudonym: films of one patient belong together")
    side: str = Field("", description="`left` or `right`, the patient's own", examples=["left"])
    view: str = Field("", description="view position as in DICOM: `AP`, `PA`, `LL`, `RL`, ...", examples=["AP"])
    taken_on: str = Field("", description="date of the film", examples=["2026-03-01"])
    label_text: str = Field("", max_length=100, description="a label of your own")
    note: str = Field("", max_length=4000)
    age: str = Field("", description="years, 0 to 120", examples=["63"])
    sex: str = Field("", description="`female` or `male`", examples=["female"])
    weight_kg: str = Field("", description="2 to 400", examples=["71.5"])
    height_m: str = Field("", description="0.3 to 2.5", examples=["1.62"])
    if_known: str = Field(
        "",
        description="if the same film is there with other facts: "
        + ", ".join(f"`{a}` {b}" for a, b in IfKnown.choices),
        examples=["separate"],
    )


class Filters(Page):
    """The history's filters; what is not among them, or makes no sense, is 400."""

    q: str = Field("", description="text in label, note or name")
    label: str = Field("", description="the leading label, `no finding`, or `none`: no answer yet")
    triage: Literal["", "refer", "uncertain", "low suspicion"] = Field("", description="of the leading part")
    from_: date | None = Field(None, alias="from", description="uploaded on this day (UTC) or later")
    to: date | None = Field(None, description="uploaded on this day (UTC) or earlier")
    sort: Literal[*SORTS] = Field(  # type: ignore[valid-type]  # the names are in one place
        "newest", description="`-` before a name: the other way round"
    )


_REFUSED = {400: ErrorAnswer, 401: ErrorAnswer, 404: ErrorAnswer}
_NOT_TAKEN = _REFUSED | {413: ErrorAnswer, 415: ErrorAnswer, 422: ErrorAnswer, 429: ErrorAnswer}


@api.post(
    "/token",
    by_alias=True,
    auth=None,
    tags=["log-in"],
    response={200: NewToken, 401: ErrorAnswer, 403: ErrorAnswer, 429: ErrorAnswer},
)
def log_in(request: Request, credentials: LogIn) -> Any:
    """Get a token. After five wrong passwords or codes the name is locked for a quarter of an hour.

    Where the account has a second step, send its `code` as well; the token itself works without.
    """
    user = authenticate(request, username=credentials.username, password=credentials.password)
    if user is None:  # a lock-out has its answer from accounts.lockout
        return error_json(401, "wrong_login", "name and password do not fit each other", "both are case-sensitive")
    if user.must_change_password:
        return error_json(403, "password_must_change", "the password is for one time", "change it in the browser first")
    if second_factor.device_of(user):
        if not credentials.code:
            hint = 'send the code of your app as well: "code": "123456"'
            return error_json(403, "code_needed", "this account has a second step", hint)
        if not second_factor.passes(request, user, credentials.code):
            return error_json(401, "wrong_code", "the code is wrong or was used already", "send the next one")
    elif settings.SECOND_FACTOR_REQUIRED:
        hint = "set it up in the browser first"
        return error_json(403, "second_factor_missing", "your account needs a second step at log-in", hint)
    request.user = user
    audit.record(request, "token", detail=f"{credentials.name}, {credentials.days} days, API")
    text = Token.create(user, credentials.name, credentials.days)
    return NewToken(token=text, username=user.get_username(), days=credentials.days)


@api.delete("/token", by_alias=True, tags=["log-in"], response={204: None, 401: ErrorAnswer})
def log_out(request: Request) -> Any:
    """End the token that this request came with."""
    request.auth.delete()
    audit.record(request, "log-out", detail="token")
    return Status(204, None)


@api.post(
    "/films",
    by_alias=True,
    tags=["films"],
    response={200: FilmOut, 201: FilmOut, 409: KnownAnswer} | _NOT_TAKEN,
)
def send_film(request: Request, file: File[UploadedFile], facts: Form[Facts]) -> Any:  # noqa: ARG001
    """Send one film: 201, or 200 with `duplicate_of` if these bytes are there already and nothing sent differs.

    If they are there with another label, note or fact, the answer is 409 and says what differs; nothing is changed.
    Send the film again with `if_known=separate` or `if_known=update`.

    It is answered at once if the server is up, and later if not: then `state` is `waiting`.
    """
    film, created = receive(request)
    shown = FilmOut.from_orm(film)
    shown.duplicate_of = None if created else film.id
    return Status(201 if created else 200, shown)


@api.get("/films", by_alias=True, tags=["films"], response={200: FilmPage} | _REFUSED)
def list_films(request: Request, filters: Query[Filters]) -> Any:
    """Your films, a page at a time; a page beyond the last one is empty."""
    check_names(request, Filters)
    form, films, _ = films_of(request)
    if form.errors:
        name, errors = next(iter(form.errors.items()))
        return error_json(400, "invalid_option", f"{name}: {errors[0]}", "see /api/docs")
    page = page_of(films, filters)
    page["films"] = list(sightings.showing(request.user, page.pop("rows")))
    audit.record(request, "list", detail=f"API, {len(page['films'])} films")
    return page


@api.get("/films/{film_id}", by_alias=True, tags=["films"], response={200: FilmDetail} | _REFUSED)
def show_film(request: Request, film_id: UUID, maps: bool = False) -> Any:
    """A film with all its answers; `maps=true` puts the heat maps into them as base64."""
    film = film_for(request.user, film_id)
    audit.record(request, "view", film.id, "API")
    readings = [_reading(reading, maps) for reading in film.readings.order_by("-pk")]
    if any(reading["answer"] for reading in readings):
        sightings.note(request.user, [film.id])
    return FilmOut.from_orm(film).model_dump() | {"readings": readings}


@api.post("/films/{film_id}/reread", by_alias=True, tags=["films"], response={200: FilmOut} | _REFUSED)
def read_again(request: Request, film_id: UUID, force: bool = False) -> Any:
    """Ask every model again; `force=true` has a film answered that the gate refuses, now and later."""
    film = film_of(request.user, film_id)
    answering.read_again(film, force=force)
    audit.record(request, "re-read", film.id, "API, although it was refused" if film.force else "API")
    film.refresh_from_db()
    sightings.note(request.user, [film.id])
    return FilmOut.from_orm(film)


@api.get("/films/{film_id}/map/{label}", by_alias=True, tags=["films"], response=_REFUSED)
def show_map(request: Request, film_id: UUID, label: str, model: str = "") -> HttpResponseBase:
    """The heat map of a class as an 8-bit grey PNG that covers the film edge to edge; default: the main model's."""
    film = film_for(request.user, film_id)
    reading = readings_of(film).of(model or None)
    path = exporting.map_path(reading, label) if reading else None
    if path is None:
        raise Http404("no such map")
    sightings.note(request.user, [film.id])
    audit.record_once(request, "map", film.id, "API")
    return sending.picture(request, path, "image/png")


@api.delete("/films/{film_id}", by_alias=True, tags=["films"], response={204: None} | _REFUSED)
def delete_film(request: Request, film_id: UUID) -> Any:
    """Delete a film with its files and answers, for good and at once."""
    if not retention.remove_films(request.user.pk, [film_id]):
        raise Http404("no such film")
    audit.record(request, "delete", film_id, "API")
    return Status(204, None)


def _reading(reading: Reading, maps: bool) -> dict[str, Any]:
    answer = None
    if reading.state == Reading.State.ANSWERED:
        answer = exporting.full_answer(reading) if maps else exporting.bare_answer(reading)
    error = {"code": reading.error_code, "message": problem(reading)} if reading.error_code else None
    names = ("id", "model", "state", "asked_at", "answered_at")
    return {name: getattr(reading, name) for name in names} | {"answer": answer, "error": error}


@api.exception_handler(InputError)
def _input_error(_request: HttpRequest, error: InputError) -> HttpResponse:
    return input_error(error)


@api.exception_handler(KnownFilm)
def _known_film(_request: HttpRequest, error: KnownFilm) -> HttpResponse:
    return known_film(error)


@api.exception_handler(Http404)
def _not_found(_request: HttpRequest, _error: Http404) -> HttpResponse:
    return error_json(404, "not_found", "there is nothing here, or no longer", "GET /api/films lists your films")


@api.exception_handler(AuthenticationError)
def _no_token(_request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    response = error_json(401, "no_token", "the token is missing, wrong or ended", "get one from POST /api/token")
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(ValidationError)
def _malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return malformed(request, error)


@api.exception_handler(HttpError)
def _refused(_request: HttpRequest, error: HttpError) -> HttpResponse:
    return refused(error)
