"""Stored answers in the form of templates, the viewer and the report."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext

from films import colours, terms, wording
from films.asking import AWAY, BUSY
from films.cards import card_of
from films.leading import answer_of, is_outdated
from films.models import Film, Reading
from films.readings import FilmReadings
from osteolens.card import Card
from osteolens.labels import label_from_t_score
from osteolens.parameters import FACT_WORDS, OperatingPoints, PatientFact
from osteolens.schema import Answer, Fused, Knee, Lead, Part, Spread, TScore

MAYBE_DEEP = ("DICOM", "PNG", "TIFF")
"""Formats that may have more than 8 bits for a pixel."""


@dataclass(frozen=True)
class PartView:
    """A part of an answer: from the film alone, or with the patient's facts.

    Attributes:
        source: What it comes from.
        leads: Whether it is what the answer leads with; if not, it is the model's output.
        inputs: The facts that were used.
    """

    source: str
    leads: bool
    label: str
    percent: str
    triage: str
    triage_words: str
    classes: list[dict[str, Any]]
    t_score: dict[str, Any] | None
    operating_points: dict[str, Any] | None
    inputs: list[str]
    spread_words: str = ""


@dataclass(frozen=True)
class ReadingView:
    """Answer of one model, ready to be shown.

    Attributes:
        lead: What it leads with.
        lead_text: That in the language of the page, with what it comes from.
        lead_sentence: The evidence behind it, likewise.
        condition: What the model's labels grade; empty where its card does not say it.
        grades: That in a sentence, with all labels.
        outdated: Whether the facts that it was made from have changed since.
        parts: The leading one first.
        label: The model's output from the film alone, which the maps explain.
        classes: Probabilities from the film alone, with their maps.
        warnings: The answer's, without those in the film's own `picture_warnings`.
    """

    reading: int
    model: str
    model_version: str
    card_sha256: str
    answered_at: Any
    lead: Lead
    lead_text: str
    lead_sentence: str
    condition: str
    grades: str
    outdated: bool
    parts: list[PartView]
    label: str
    classes: list[dict[str, Any]]
    knees: list[dict[str, Any]]
    warnings: list[str]
    accepted: bool
    unfamiliarity: float | None


def reading_view(film: Film, reading: Reading) -> ReadingView:
    """Everything that is shown of one answer."""
    answer = answer_of(reading)
    classes = _classes(film, reading, answer)
    card = card_of(reading.model, reading.card_sha256)
    return ReadingView(
        reading=reading.pk,
        model=reading.model,
        model_version=answer.model.version,
        card_sha256=answer.model.card_sha256,
        answered_at=reading.answered_at,
        lead=answer.lead,
        lead_text=terms.lead_text(answer, answer.lead),
        lead_sentence=terms.lead_sentence(answer, answer.lead),
        condition=terms.word(answer.evidence.condition) if answer.evidence else "",
        grades=terms.grades(answer),
        outdated=is_outdated(film, reading),
        parts=[_part(part, classes, card, answer.fold_spread) for part in answer.parts],
        label=answer.label,
        classes=classes,
        knees=[_knee(film, reading, number, knee) for number, knee in enumerate(answer.knees)],
        warnings=[warning for warning in answer.quality.remarks if warning not in film.picture_warnings],
        accepted=answer.quality.accepted,
        unfamiliarity=answer.quality.unfamiliarity,
    )


def _part(part: Part, classes: list[dict[str, Any]], card: Card | None, spread: Spread | None) -> PartView:
    answer, fused = part.answer, isinstance(part.answer, Fused)
    inputs = answer.inputs if isinstance(answer, Fused) else ()
    points, zone = _points(card, inputs), answer.triage or ""
    return PartView(
        source=terms.part_source(part),
        leads=part.leads,
        label=answer.label,
        percent=terms.share(answer.probabilities[answer.label]),
        triage=zone,
        triage_words=wording.triage(zone, points, inputs),
        classes=[_share(*share) for share in answer.probabilities.items()] if fused else classes,
        t_score=_t_score(answer.t_score),
        operating_points=_operating_points(points) if points else None,
        inputs=[terms.word(FACT_WORDS[name]) for name in inputs],
        spread_words=wording.spread(spread, answer.label) if spread and not fused else "",
    )


def _operating_points(points: OperatingPoints) -> dict[str, Any]:
    return {
        "label": points.label,
        "refer": points.high_specificity.threshold,
        "low_suspicion": points.high_sensitivity.threshold,
        "words": wording.operating_points(points),
    }


def _points(card: Card | None, inputs: tuple[PatientFact, ...]) -> OperatingPoints | None:
    """The thresholds of the film alone, or with these facts; None without any, or without the card."""
    if card is None:
        return None
    if not inputs:
        return card.operating_points
    return next((fusion.operating_points for fusion in card.fusion if fusion.inputs == inputs), None)


_ELSEWHERE = {AWAY: wording.WAITING, BUSY: wording.BUSY}


def problem(reading: Reading) -> str:
    """Why there is no answer, or not yet, without the server's inner addresses; empty where there is one."""
    # The stored message holds the server's address, which is nobody's business on a page.
    if reading.error_code in _ELSEWHERE:
        return str(_ELSEWHERE[reading.error_code])
    waiting = str(wording.WAITING_SHORT) if reading.state == Reading.State.QUEUED else ""
    return terms.sentence(reading.error_message) or waiting


def viewer_data(film: Film, readings: FilmReadings) -> dict[str, Any]:
    """Data of the viewer's JavaScript, with keys in camel case."""
    models = [_viewer_model(film, reading_view(film, reading)) for reading in readings.current]
    return {
        "film": {
            "id": str(film.id),
            "title": film.title,
            "url": reverse("films:picture", args=[film.id]),
            "width": film.width,
            "height": film.height,
            "valuesUrl": reverse("films:values", args=[film.id]) if film.format in MAYBE_DEEP else None,
            "spacing": _spacing(readings),
        },
        "colourMaps": colours.AS_HEX,
        "models": models,
        "labels": labels_of(models),
        "urls": {name: reverse(f"films:{name}", args=[film.id]) for name in ("state", "original")},
        "state": film.state,
        "waiting": len(readings.waiting),
    }


def labels_of(models: list[dict[str, Any]]) -> list[str]:
    """Labels of all models of the viewer, each once: models may answer different questions."""
    return list(dict.fromkeys(one["label"] for model in models for one in model["classes"]))


def _spacing(readings: FilmReadings) -> tuple[float, float] | None:
    """Millimetres between rows and between columns, from the header of a DICOM film."""
    header = answer_of(readings.main).quality.source if readings.main else None
    return header.pixel_spacing_mm if header else None


def _viewer_model(film: Film, view: ReadingView) -> dict[str, Any]:
    links = {"overlayUrl": "overlay", "answerUrl": "answer", "reportUrl": "report"}
    return {
        "reading": view.reading,
        "model": view.model,
        "version": view.model_version,
        "label": view.label,
        "classes": view.classes,
        "knees": [{"name": knee["name"], "box": knee["box"], "maps": knee["maps"]} for knee in view.knees],
    } | {name: f"{reverse(f'films:{to}', args=[film.id])}?model={view.model}" for name, to in links.items()}


def _knee(film: Film, reading: Reading, number: int, knee: Knee) -> dict[str, Any]:
    """A knee with its box, and its answer and maps where it has its own."""
    left, top, right, bottom = knee.box
    return {
        "name": _knee_name(knee, number),
        "box": knee.box,
        "width": right - left,
        "height": bottom - top,
        "label": knee.label,
        "probability": (knee.probabilities or {}).get(knee.label or ""),
        "t_score": knee.t_score,
        "maps": {
            each.target: {
                "url": f"{reverse('films:map', args=[film.id, reading.pk, each.target])}?knee={number}",
                "peak": each.peak,
                "strength": each.strength,
                "strengthWords": wording.map_strength(each.strength),
            }
            for each in knee.explanations
        },
    }


def _knee_name(knee: Knee, number: int) -> str:
    if knee.side:
        return gettext("left knee") if knee.side == "left" else gettext("right knee")
    return gettext("knee %(number)s") % {"number": number + 1}


def _classes(film: Film, reading: Reading, answer: Answer) -> list[dict[str, Any]]:
    spread = answer.fold_spread
    maps = {
        explanation.target: {
            "url": reverse("films:map", args=[film.id, reading.pk, explanation.target]),
            "peak": explanation.peak,
            "strength": explanation.strength,
            "strengthWords": wording.map_strength(explanation.strength),
        }
        for explanation in answer.explanations
    }
    return [
        _share(label, probability, spread) | {"map": maps.get(label)}
        for label, probability in answer.probabilities.items()
    ]


def _share(label: str, probability: float, spread: Spread | None = None) -> dict[str, Any]:
    low, high = (ends.get(label) for ends in (spread.low, spread.high)) if spread else (None, None)
    words = ""
    if low is not None and high is not None:
        words = gettext("single models from %(low)s to %(high)s") % {"low": terms.share(low), "high": terms.share(high)}
    return {
        "label": label,
        "probability": probability,
        "percent": terms.share(probability),
        "name": terms.word(label),
        "low": low,
        "high": high,
        "spread": words,
    }


def _t_score(score: TScore | None) -> dict[str, Any] | None:
    if score is None:
        return None
    low, high = score.interval_90 or (None, None)
    return {
        "estimate": score.estimate,
        "low": low,
        "high": high,
        "zone": label_from_t_score(score.estimate),
        "words": wording.t_score(score),
    }
