"""Pictures and downloads of a film; every one goes through the ownership check."""

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from uuid import UUID

from accounts import audit
from django import forms
from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe
from project.context import RESEARCH_ONLY
from project.errors import TooMany, refuse, refuse_input
from project.request import Request

from films import exporting, limits, pictures, report, sending, sightings, storage, wording
from films.access import film_for
from films.colours import DEFAULT, TABLES
from films.leading import answer_of
from films.models import Reading
from films.presenting import reading_view
from films.readings import FilmReadings, readings_of
from osteolens.errors import InputError

FilmView = Callable[..., HttpResponseBase]


class ShowForm(forms.Form):
    """Which map, and how it is laid over the film."""

    model = forms.CharField(required=False, max_length=100)
    label = forms.CharField(required=False, max_length=100)
    opacity = forms.FloatField(required=False, min_value=0, max_value=1)
    threshold = forms.FloatField(required=False, min_value=0, max_value=1)
    map = forms.ChoiceField(required=False, choices=[(name, name) for name in TABLES])


@require_safe
def picture(request: Request, film_id: UUID) -> HttpResponseBase:
    """The film as shown: 8-bit grey, re-encoded, nothing else in the file."""
    film = film_for(request.user, film_id)
    audit.record_once(request, "picture", film.id)
    return sending.picture(request, storage.folder(film.id) / storage.DISPLAY, "image/png")


@require_safe
def thumb(request: Request, film_id: UUID) -> HttpResponseBase:
    """A small JPEG."""
    film = film_for(request.user, film_id)
    audit.record_once(request, "thumbnail", film.id)
    return sending.picture(request, storage.folder(film.id) / storage.THUMB, "image/jpeg")


@require_safe
def heat_map(request: Request, film_id: UUID, reading: int, label: str) -> HttpResponseBase:
    """The grey PNG of one class's map, for the film or with `?knee=0` for a knee; older answers keep theirs."""
    film = film_for(request.user, film_id)
    row = film.readings.filter(pk=reading, state=Reading.State.ANSWERED).first()
    knee = request.GET.get("knee", "")
    path = exporting.map_path(row, label, int(knee) if knee.isdecimal() else None) if row else None
    if path is None:
        raise Http404("no such map")
    sightings.note(request.user, [film.id])
    audit.record_once(request, "map", film.id)
    return sending.picture(request, path, "image/png")


@require_safe
def original(request: Request, film_id: UUID) -> HttpResponse:
    """The bytes as given."""
    film = film_for(request.user, film_id)
    audit.record(request, "download", film.id, "original")
    return sending.download(storage.read(storage.original(film.id)), film.name, "application/octet-stream")


def drawn(view: FilmView) -> FilmView:
    """A view that draws: so many a minute and at once for each person, and one large film at a time for all."""

    @wraps(view)
    def limited(request: Request, film_id: UUID, **options: str) -> HttpResponseBase:
        film = film_for(request.user, film_id)
        try:
            limits.check_rate(request.user, limits.DRAWN, settings.DRAWINGS_PER_MINUTE)
            with limits.under_way(request.user, limits.DRAWN, film.width * film.height):
                return view(request, film_id, **options)
        except TooMany as error:
            return refuse_input(request, error)

    return limited


@require_safe
def values(request: Request, film_id: UUID) -> HttpResponseBase:
    """Grey values of a deep film; 204 for other films."""
    film = film_for(request.user, film_id)
    audit.record_once(request, "picture", film.id)
    return sending.values(request, film)


@require_safe
@drawn
def overlay(request: Request, film_id: UUID) -> HttpResponse:
    """The film under a map, at the size of a screen, with a caption."""
    film = film_for(request.user, film_id)
    form = ShowForm(request.GET)
    if not form.is_valid():
        return _malformed(request, form)
    reading, label, map_file = _chosen(readings_of(film), form)
    shown = form.cleaned_data
    opacity = 0.6 if shown["opacity"] is None else shown["opacity"]
    grey = pictures.to_draw_on(storage.folder(film.id) / storage.DISPLAY)
    levels = pictures.read_grey(storage.read(map_file))
    strength = exporting.map_strength(reading, label)
    mixed = pictures.under_map(grey, levels, shown["map"] or DEFAULT, opacity, shown["threshold"] or 0.0, strength)
    caption = f"Grad-CAM for {label}, {reading.model} {reading.model_version}: {answer_of(reading).lead.headline}"
    words = wording.map_strength(strength)
    audit.record(request, "download", film.id, "overlay")
    sightings.note(request.user, [film.id])
    content = pictures.with_caption(mixed, [caption, *([words] if words else []), str(RESEARCH_ONLY)])
    return sending.download(content, f"{film.id}-{reading.model}-overlay.png", "image/png")


@require_safe
def answer_json(request: Request, film_id: UUID) -> HttpResponse:
    """The current answers, or one model's, with their maps."""
    film = film_for(request.user, film_id)
    form = ShowForm(request.GET)
    if not form.is_valid():
        return _malformed(request, form)
    readings = readings_of(film)
    chosen = [readings.of(form.cleaned_data["model"])] if form.cleaned_data["model"] else readings.current
    answers = [exporting.full_answer(reading).model_dump(mode="json", by_alias=True) for reading in chosen if reading]
    if not answers:
        raise Http404("no answer yet")
    audit.record(request, "download", film.id, "answer")
    sightings.note(request.user, [film.id])
    content = json.dumps({"film": exporting.film_facts(film), "answers": answers}, indent=1).encode()
    return sending.download(content, f"{film.id}.json", "application/json")


@require_safe
@drawn
def report_pdf(request: Request, film_id: UUID) -> HttpResponse:
    """Report of one answer: one PDF page."""
    film = film_for(request.user, film_id)
    form = ShowForm(request.GET)
    if not form.is_valid():
        return _malformed(request, form)
    reading, label, map_file = _chosen(readings_of(film), form)
    audit.record(request, "download", film.id, "report")
    sightings.note(request.user, [film.id])
    grey = pictures.to_draw_on(storage.folder(film.id) / storage.DISPLAY, report.PRINTED_SIDE)
    levels = pictures.read_grey(storage.read(map_file))
    content = report.report(film, reading_view(film, reading), label, grey, levels)
    return sending.download(content, f"{film.id}-{reading.model}.pdf", "application/pdf")


@require_safe
@drawn
def dicom_objects(request: Request, film_id: UUID, kind: str) -> HttpResponse:
    """An answer as DICOM objects under the patient's pseudonym: one of them, or `all` in a zip archive."""
    from films import dicom_objects as objects  # highdicom is loaded when somebody asks for objects

    film = film_for(request.user, film_id)
    if kind != "all" and kind not in objects.KINDS:
        raise Http404("no such object")
    form = ShowForm(request.GET)
    if not form.is_valid():
        return _malformed(request, form)
    reading, label, _ = _chosen(readings_of(film), form)
    audit.record(request, "download", film.id, "DICOM objects")
    sightings.note(request.user, [film.id])
    try:
        files = objects.objects_of(film, reading, label)
    except InputError as error:
        return refuse_input(request, error)
    if kind == "all":
        return sending.download(objects.zipped(files), f"{film.id}-{reading.model}.zip", "application/zip")
    return sending.download(files[kind], f"{film.id}-{reading.model}-{kind}.dcm", "application/dicom")


def _chosen(readings: FilmReadings, form: ShowForm) -> tuple[Reading, str, Path]:
    """The answer and the class that were asked for, and its map; the main answer and its own class by default.

    Raises:
        Http404: There is no such answer or map.
    """
    reading = readings.of(form.cleaned_data["model"] or None)
    if reading is None:
        raise Http404("no answer yet")
    label = form.cleaned_data["label"] or reading.label
    path = exporting.map_path(reading, label)
    if path is None:
        raise Http404("no such map")
    return reading, label, path


def _malformed(request: Request, form: ShowForm) -> HttpResponse:
    name, errors = next(iter(form.errors.items()))
    hint = "for example ?model=knee&label=osteoporosis&opacity=0.6&threshold=0.2&map=viridis"
    return refuse(request, 400, "invalid_option", f"{name}: {errors[0]}", hint)
