"""A film's page, and what can be done to the film."""

from typing import Any
from uuid import UUID

from accounts import audit
from accounts.models import User
from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe
from project.request import Request

from films import answering, archiving, patients, retention, sightings, wording, working
from films.access import film_for, film_of, visible_to
from films.forms import AskForm, EditForm
from films.leading import answer_of
from films.models import FACTS, Delivery, Film
from films.presenting import problem, reading_view, viewer_data
from films.readings import FilmReadings, readings_of
from osteolens.films.gate import CODES as GATE_CODES
from osteolens.schema import Lead


@require_safe
def film(request: Request, film_id: UUID) -> HttpResponse:
    """The viewer, the answers, and what is known of the patient."""
    film = film_for(request.user, film_id)
    audit.record(request, "view", film.id)
    return _page(request, film, EditForm(instance=film), 200)


def _page(request: Request, film: Film, form: EditForm, status: int, ask_form: AskForm | None = None) -> HttpResponse:
    readings = readings_of(film)
    if readings.current:
        sightings.note(request.user, [film.id])
    context = film_context(request.user, film, readings, form)
    if ask_form:
        context["ask_form"] = ask_form
    return render(request, "films/film.html", context, status=status)


def film_context(user: User, film: Film, readings: FilmReadings, form: EditForm) -> dict[str, Any]:
    """Context of the film's template, without the request."""
    views = [reading_view(film, reading) for reading in readings.current]
    header = answer_of(readings.main).quality.source if readings.main else None
    return {
        "film": film,
        "readings": views,
        "main": views[0] if views else None,
        "waiting": [{"model": reading.model, "message": problem(reading)} for reading in readings.waiting],
        "refused": [{"model": reading.model, "message": problem(reading)} for reading in readings.refused],
        "can_force": not film.force and any(reading.error_code in GATE_CODES for reading in readings.refused),
        "source": wording.source(header) if header else "",
        "older": [
            {
                "model": reading.model,
                "model_version": reading.model_version,
                "lead": answer_of(reading).lead,
                "answered_at": reading.answered_at,
            }
            for reading in readings.older
        ],
        "outdated_words": wording.OUTDATED,
        "facts_form": form,
        "object_kinds": ("film", "picture", "map", "report", "page"),
        **_on_their_way(film, readings),
        "can_assign": bool(working.assignable([film], user)),
        "shares": list(working.shares_of(film)) if film.owner_id == user.pk else [],
        "is_owner": film.owner_id == user.pk,
        "relatives": patients.relatives(film, visible_to(user).filter(patient=film.patient)) if film.patient else None,
        "viewer_data": viewer_data(film, readings),
        "meaning": wording.MEANING,
        "ask_form": _ask_form(user, film, views[0].lead) if views else None,
    }


def _on_their_way(film: Film, readings: FilmReadings) -> dict[str, Any]:
    """Each current answer with what became of it on its way to the archive."""
    if not archiving.can_send(film):
        return {"can_send": False}
    sent = archiving.deliveries_of(readings)
    return {
        "can_send": True,
        "deliveries": [{"model": reading.model, "delivery": sent.get(reading.model)} for reading in readings.current],
        "on_their_way": sum(delivery.state == Delivery.State.QUEUED for delivery in sent.values()),
    }


def _ask_form(user: User, film: Film, lead: Lead) -> AskForm | None:
    """The facts that would give an answer; None where nothing is missing, and for films of others."""
    if film.owner_id != user.pk or set(lead.helpful_facts) <= film.facts.keys():
        return None
    return AskForm(instance=film, names=lead.helpful_facts)


@require_safe
def state(request: Request, film_id: UUID) -> HttpResponse:
    """Whether answers have come, for a page that waits for them."""
    film = film_for(request.user, film_id)
    readings = readings_of(film)
    rows = [*readings.current, *readings.waiting, *readings.refused]
    return JsonResponse(
        {
            "state": film.state,
            "answered": len(readings.current) + len(readings.older),
            "waiting": len(readings.waiting),
            "deliveries": {model: sent.state for model, sent in archiving.deliveries_of(readings).items()},
            "readings": [
                {"model": reading.model, "state": reading.state, "error": problem(reading)} for reading in rows
            ],
        }
    )


@require_POST
def edit(request: Request, film_id: UUID) -> HttpResponse:
    """Change facts, label and note; new facts are new questions."""
    film = film_of(request.user, film_id)
    form = EditForm(request.POST, instance=film)
    if not form.is_valid():
        return _page(request, film_of(request.user, film_id), form, 400)
    if "patient" in form.changed_data:
        patients.set_fact(film, "patient", form.cleaned_data["patient"])
    answering.save_changes(film, form.changed_data)
    audit.record(request, "edit", film_id, ", ".join(form.changed_data))
    messages.success(request, gettext("Saved."))
    return redirect(film)


@require_POST
def facts(request: Request, film_id: UUID) -> HttpResponse:
    """Add the facts that were asked for, and read the film again at once."""
    film = film_of(request.user, film_id)
    form = AskForm(request.POST, instance=film, names=[name for name in FACTS if name in request.POST])
    if not form.fields or not form.is_valid():
        film = film_of(request.user, film_id)
        return _page(request, film, EditForm(instance=film), 400, form if form.fields else None)
    answering.save_changes(film, form.changed_data)
    audit.record(request, "edit", film_id, ", ".join(form.changed_data))
    return redirect(film)


@require_POST
def reread(request: Request, film_id: UUID) -> HttpResponse:
    """Ask every model again, with `force=true` although the gate refuses the film; earlier answers are kept."""
    film = film_of(request.user, film_id)
    asked = answering.read_again(film, force=request.POST.get("force") == "true")
    audit.record(request, "re-read", film_id, "although it was refused" if film.force else "")
    if not asked:
        messages.info(
            request, gettext("Nobody is asked: each model is being asked already, or has refused the film for good.")
        )
    return redirect(film)


@require_POST
def send_to_archive(request: Request, film_id: UUID) -> HttpResponse:
    """Put an answer in line for the archive; the queue's worker sends it."""
    film = film_for(request.user, film_id)
    reading = readings_of(film).of(request.POST.get("model") or None)
    if reading is None or not archiving.can_send(film):
        raise Http404("no answer yet, no archive, or a film that did not come from one")
    archiving.enqueue(reading)
    audit.record(request, "archive", film_id, reading.model)
    return redirect(f"{film.get_absolute_url()}#archive")


@require_POST
def delete(request: Request, film_id: UUID) -> HttpResponse:
    """Delete the film with its files and answers; the history offers to undo it."""
    if not retention.delete(request.user, [film_id]):
        raise Http404("no such film")
    audit.record(request, "delete", film_id)
    return redirect("films:history")
