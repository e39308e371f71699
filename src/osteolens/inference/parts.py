"""The parts of an answer, from a model's outputs: the film's or a knee's, and the one with the patient's facts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteolens.card import Card
from osteolens.evidence import AnswerEvidence, Evidence
from osteolens.films import overlay
from osteolens.films.joints import Joint, within
from osteolens.films.lie import Lie
from osteolens.films.prepare import Geometry
from osteolens.inference import calibration
from osteolens.inference.calibration import Reading
from osteolens.inference.runtimes import Prediction
from osteolens.options import Method, Options
from osteolens.parameters import PATIENT_FACTS, PatientFact
from osteolens.quality import Side, SideSource, Source
from osteolens.schema import Explanation, Fused, Knee, Spread, TScore


@dataclass(frozen=True)
class Part:
    """What a model says of one of its inputs: a film, or one knee."""

    prediction: Prediction
    reading: Reading
    explanations: tuple[Explanation, ...] = ()

    @property
    def severity(self) -> tuple[int, float]:
        """Index of the answered label, then the expected index, by which the worse knee is chosen."""
        shares = self.reading.probabilities[0]
        return int(shares.argmax()), float(shares @ np.arange(len(shares)))

    def fields(self, card: Card, evidence: Evidence) -> dict[str, Any]:
        """The fields that `Answer` and `Knee` share."""
        own = _fields(card.labels, self.reading, evidence)
        return own | {"fold_spread": _spread(self.prediction, self.reading, card), "explanations": self.explanations}


def knee(
    joint: Joint, known: tuple[Side | None, SideSource | None], film: tuple[int, int], lie: Lie, own: Mapping[str, Any]
) -> Knee:
    """A knee of the answer, on the film as it was sent.

    Args:
        joint: Where it is.
        known: Its side, and how that is known.
        film: Height and width of the righted film in pixels.
        lie: How the film lay when it was sent.
        own: Fields of its own answer, see `Part.fields`; empty where the model reads whole films.
    """
    x, y = lie.point((joint.x, joint.y), film)
    return Knee(
        box=lie.box(within(joint.frame, film), film),
        joint=(round(x, 1), round(y, 1)),
        plateau_width=round(joint.width, 1),
        turn=round((joint.turn + lie.turn + 180) % 360 - 180, 1),
        regions={name: lie.box(box, film) for name, box in joint.regions(film).items()},
        side=known[0],
        side_from=known[1],
        **own,
    )


def fuse(card: Card, evidence: AnswerEvidence, known: Mapping[PatientFact, float | str], part: Part) -> Fused | None:
    """The answer with the patient's facts, from as many as are known; None where they are too few."""
    fusion = calibration.choose_fusion(card.fusion, known.keys())
    if fusion is None:
        return None
    facts = {name: np.array([_as_number(known[name])]) for name in fusion.inputs}
    reading = part.reading
    fused = calibration.read_fused(card.labels, reading.probabilities, reading.t_score, facts, fusion)
    return Fused(inputs=fusion.inputs, **_fields(card.labels, fused, evidence.of(fusion.inputs)))


def patient_facts(options: Options, source: Source | None) -> dict[PatientFact, float | str]:
    """What is known of the patient: the request's own values, else those of the film's DICOM header."""
    places = [place for place in (source, options) if place is not None]
    return {name: fact for place in places for name in PATIENT_FACTS if (fact := getattr(place, name)) is not None}


def explanation(method: Method, label: str, raw: NDArray[np.float32], geometry: Geometry, card: Card) -> Explanation:
    """A model's map float32 [h, w] for a label, laid on the film."""
    levels, peak = overlay.map_on_film(raw, geometry)
    usual = card.map_peaks.get(label) if method == "gradcam" else None  # other methods have scales of their own
    strength = None if usual is None else min(1.0, peak / usual)
    return Explanation(method=method, target=label, map_png=overlay.encode_map(levels), peak=peak, strength=strength)


def _fields(labels: tuple[str, ...], reading: Reading, evidence: Evidence | None) -> dict[str, Any]:
    """The fields that `Answer`, `Knee` and `Fused` share, from a reading of a single film."""
    shown = evidence is not None and evidence.beats_chance
    probabilities, estimate, low = reading.probabilities[0], float(reading.t_score[0]), float(reading.low[0])
    interval = None if math.isnan(low) else (low, float(reading.high[0]))
    return {
        "label": labels[int(probabilities.argmax())],
        "probabilities": dict(zip(labels, probabilities.tolist(), strict=True)),
        "t_score": None if math.isnan(estimate) else TScore(estimate=estimate, interval_90=interval),
        "triage": (str(reading.zone[0]) or None) if shown else None,
    }


def _as_number(fact: float | str) -> float:
    return calibration.SEXES[fact] if isinstance(fact, str) else fact


def _spread(prediction: Prediction, reading: Reading, card: Card) -> Spread | None:
    """Agreement of an ensemble's members about a single film; None for a single model."""
    if prediction.member_logits is None:
        return None
    labels, members = card.labels, calibration.calibrate(prediction.member_logits[0], card.calibration)
    return Spread(
        members=len(members),
        agreeing=int((members.argmax(axis=1) == reading.probabilities[0].argmax()).sum()),
        low=dict(zip(labels, members.min(axis=0).tolist(), strict=True)),
        high=dict(zip(labels, members.max(axis=0).tolist(), strict=True)),
    )
