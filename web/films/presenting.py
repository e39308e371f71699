"""Stored answers in the form of templates, the viewer and the report."""

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from films import colours, wording
from films.asking import AWAY
from films.cards import card_of
from films.models import Film, Reading
from films.readings import FilmReadings
from osteolens.labels import label_from_t_score
from osteolens.schema import Answer, Fused, TScore


@dataclass(frozen=True)
class ReadingView:
    """Answer of one model, ready to be shown.

    The viewer's JavaScript gets other keys: `_viewer_model` translates.

    Attributes:
        warnings: The answer's, without those in the film's own `picture_warnings`.
    """

    reading: int
    model: str
    model_version: str
    card_sha256: str
    answered_at: Any
    label: str
    probability: float
    triage: str
    triage_words: str
    classes: list[dict[str, Any]]
    t_score: dict[str, Any] | None
    fused: dict[str, Any] | None
    spread_words: str
    warnings: list[str]
    accepted: bool
    unfamiliarity: float | None
    operating_points: dict[str, Any] | None


def answer_of(reading: Reading) -> Answer:
    """The stored answer, its maps left out."""
    return Answer.model_validate(reading.row)


def reading_view(film: Film, reading: Reading) -> ReadingView:
    """Everything that is shown of one answer."""
    answer = answer_of(reading)
    spread = answer.fold_spread
    return ReadingView(
        reading=reading.pk,
        model=reading.model,
        model_version=answer.model.version,
        card_sha256=answer.model.card_sha256,
        answered_at=reading.answered_at,
        label=answer.label,
        probability=answer.probabilities[answer.label],
        triage=answer.triage or "",
        triage_words=wording.triage(answer.triage or ""),
        classes=_classes(film, reading, answer),
        t_score=_t_score(answer.t_score),
        fused=_fused(answer.fused),
        spread_words=wording.spread(spread, answer.label) if spread else "",
        warnings=[warning for warning in answer.quality.warnings if warning not in film.picture_warnings],
        accepted=answer.quality.accepted,
        unfamiliarity=answer.quality.unfamiliarity,
        operating_points=_operating_points(reading),
    )


def problem(reading: Reading) -> str:
    """Why there is no answer, or not yet, without the server's inner addresses; empty where there is one."""
    # The stored message holds the server's address, which is nobody's business on a page.
    if reading.error_code == AWAY:
        return wording.WAITING
    return reading.error_message or (wording.WAITING_SHORT if reading.state == Reading.State.QUEUED else "")


def viewer_data(film: Film, readings: FilmReadings) -> dict[str, Any]:
    """Data of the viewer's JavaScript, with keys in camel case."""
    return {
        "film": {
            "id": str(film.id),
            "title": film.title,
            "url": reverse("films:picture", args=[film.id]),
            "width": film.width,
            "height": film.height,
        },
        "colourMaps": colours.AS_LISTS,
        "models": [_viewer_model(film, reading_view(film, reading)) for reading in readings.current],
        "urls": {name: reverse(f"films:{name}", args=[film.id]) for name in ("state", "original")},
        "state": film.state,
        "waiting": len(readings.waiting),
    }


def _viewer_model(film: Film, view: ReadingView) -> dict[str, Any]:
    links = {"overlayUrl": "overlay", "answerUrl": "answer", "reportUrl": "report"}
    points = view.operating_points
    return {
        "reading": view.reading,
        "model": view.model,
        "version": view.model_version,
        "label": view.label,
        "triage": view.triage,
        "triageWords": view.triage_words,
        "classes": view.classes,
        "tScore": view.t_score,
        "fused": view.fused
        and {
            "label": view.fused["label"],
            "triage": view.fused["triage"],
            "triageWords": view.fused["triage_words"],
            "classes": view.fused["classes"],
            "tScore": view.fused["t_score"],
            "inputs": view.fused["inputs"],
        },
        "spreadWords": view.spread_words,
        "warnings": view.warnings,
        "operatingPoints": points
        and {
            "label": points["label"],
            "refer": points["refer"],
            "lowSuspicion": points["low_suspicion"],
            "words": points["words"],
        },
    } | {name: f"{reverse(f'films:{to}', args=[film.id])}?model={view.model}" for name, to in links.items()}


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
        {
            "label": label,
            "probability": probability,
            "low": spread.low.get(label) if spread else None,
            "high": spread.high.get(label) if spread else None,
            "map": maps.get(label),
        }
        for label, probability in answer.probabilities.items()
    ]


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


def _fused(fused: Fused | None) -> dict[str, Any] | None:
    if fused is None:
        return None
    return {
        "label": fused.label,
        "triage": fused.triage or "",
        "triage_words": wording.triage(fused.triage or ""),
        "classes": [{"label": label, "probability": share} for label, share in fused.probabilities.items()],
        "t_score": _t_score(fused.t_score),
        "inputs": list(fused.inputs),
    }


def _operating_points(reading: Reading) -> dict[str, Any] | None:
    card = card_of(reading.model, reading.card_sha256)
    points = card.operating_points if card else None
    if points is None:
        return None
    return {
        "label": points.label,
        "refer": points.high_specificity.threshold,
        "low_suspicion": points.high_sensitivity.threshold,
        "words": wording.operating_points(points),
    }
