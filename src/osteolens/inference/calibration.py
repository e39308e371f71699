"""Applies a card's fitted parameters to a model's outputs: calibration, T-score interval, triage, fusion.

The reader and the evaluation share it, so that figures describe the answers that users get.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from osteolens.card import Card
from osteolens.parameters import Fusion, OperatingPoints, PatientFact, Temperature, TScoreInterval, VectorScaling
from osteolens.schema import Zone

Floats = NDArray[np.float64]
AnyFloats = NDArray[np.floating[Any]]
Facts = Mapping[PatientFact, Floats]
"""Facts about each patient, [N] each: `age` in years, `sex` as `SEXES` has it, `weight_kg`, `height_m`;
NaN where unknown."""

ZONES: tuple[Zone, ...] = get_args(Zone)
REFER, UNCERTAIN, LOW_SUSPICION = ZONES
SEXES = {"female": 1.0, "male": 0.0}
_TINY = 1e-9  # lowest probability that a logarithm is taken of


class Fitted(Protocol):
    """Fitted parameters, from a card or from some of the folds."""

    @property
    def calibration(self) -> Temperature | VectorScaling | None: ...  # noqa: D102

    @property
    def operating_points(self) -> OperatingPoints | None: ...  # noqa: D102

    @property
    def t_score_interval(self) -> TScoreInterval | None: ...  # noqa: D102


@dataclass(frozen=True)
class Reading:
    """The calibrated results of N films.

    Attributes:
        probabilities: float64 [N, K], calibrated.
        t_score: float64 [N]; NaN where there is none.
        low: float64 [N], lower end of the T-score's interval; NaN where there is none.
        high: float64 [N], upper end.
        zone: str [N], one of `ZONES`; empty where there are no operating points.
    """

    probabilities: Floats
    t_score: Floats
    low: Floats
    high: Floats
    zone: NDArray[np.str_]


def read_image(labels: Sequence[str], logits: AnyFloats, t_score: AnyFloats, fitted: Fitted) -> Reading:
    """The answer from the picture alone.

    Args:
        labels: The K classes.
        logits: float [N, K].
        t_score: float [N]; NaN where the model gives none.
        fitted: A card, or parameters fitted on other films.
    """
    probabilities = calibrate(logits, fitted.calibration)
    estimate = t_score.astype(np.float64)
    low, high = interval(estimate, fitted.t_score_interval)
    return Reading(probabilities, estimate, low, high, triage(labels, probabilities, fitted.operating_points))


def read_fused(labels: Sequence[str], probabilities: Floats, t_score: Floats, facts: Facts, fusion: Fusion) -> Reading:
    """The answer from the picture and the patient's facts; NaN and no zone where a fact is not known.

    Args:
        labels: The K classes.
        probabilities: float64 [N, K], from the image alone.
        t_score: float64 [N], from the image alone.
        facts: Each patient's.
        fusion: The stacked model.
    """
    inputs = fusion_values(labels, probabilities, t_score, facts)
    rows = np.stack([inputs[name] for name in fusion.coefficients], axis=1)
    logits = np.array(fusion.intercepts) + rows @ np.array(list(fusion.coefficients.values()))
    shares = calibrate(logits, None)
    estimate, line = np.full(len(rows), np.nan), fusion.t_score
    if line is not None:
        terms = [inputs[name] * weight for name, weight in line.coefficients.items()]
        estimate = line.intercept + np.sum(terms, axis=0)
    low, high = interval(estimate, line.interval if line else None)
    return Reading(shares, estimate, low, high, triage(labels, shares, fusion.operating_points))


def choose_fusion(fusions: Sequence[Fusion], known: Set[PatientFact]) -> Fusion | None:
    """The last fusion whose facts are all known; None without one."""
    return next((fusion for fusion in reversed(fusions) if known >= set(fusion.inputs)), None)


def calibrate(logits: AnyFloats, calibration: Temperature | VectorScaling | None) -> Floats:
    """Probabilities [N, K] from logits [N, K]."""
    logarithms = log_softmax(logits)
    if isinstance(calibration, Temperature):
        logarithms = log_softmax(logarithms / calibration.temperature)
    elif isinstance(calibration, VectorScaling):
        logarithms = log_softmax(logarithms * np.array(calibration.scale) + np.array(calibration.bias))
    return np.asarray(np.exp(logarithms))


def softmax(logits: AnyFloats) -> Floats:
    """Probabilities over the last axis, float64 [..., K] from logits [..., K] of any float type."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def log_softmax(logits: AnyFloats) -> Floats:
    """Logarithms of the probabilities, float64 [..., K]: the logits without their arbitrary offset."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def describe_parameters(card: Card) -> Iterator[tuple[str, str]]:
    """Name and meaning, in plain words, of each fitted parameter in a card."""
    if isinstance(card.calibration, Temperature):
        yield "calibration", f"temperature scaling: logits are divided by {card.calibration.temperature:.3g}"
    elif isinstance(card.calibration, VectorScaling):
        numbers = zip(card.labels, card.calibration.scale, card.calibration.bias, strict=True)
        parts = ", ".join(f"{label} x {scale:.3g} {bias:+.3g}" for label, scale, bias in numbers)
        yield "calibration", f"vector scaling of the log-probabilities: {parts}"
    if card.operating_points:
        yield "triage", _describe_points(card, card.operating_points)
    elif card.no_triage:
        yield "no triage", card.no_triage
    if card.t_score_interval:
        interval = card.t_score_interval
        yield "T-score interval", f"estimate +- {interval.half_width:.2f}, meant for {interval.level:.0%} of films"
    for fusion in card.fusion:
        points = f"; {_describe_points(card, fusion.operating_points)}" if fusion.operating_points else ""
        unused = "" if fusion.labels_by_image else " (the picture added nothing on other folds, and has weight 0)"
        yield "also answers with", f"{', '.join(fusion.inputs)}{unused}{points}"


def _describe_points(card: Card, points: OperatingPoints) -> str:
    low, high = points.high_sensitivity, points.high_specificity
    what = points.label if points.label == card.labels[-1] else f"{points.label} and above"
    return (
        f"refer from {high.threshold:.2f} probability of {what} (specificity {high.specificity:.0%}), "
        f"low suspicion below {low.threshold:.2f} (sensitivity {low.sensitivity:.0%})"
        + "".join(f", {share:.0%} {zone}" for zone, share in points.zones.items())
    )


def score(labels: Sequence[str], probabilities: Floats, label: str) -> Floats:
    """Summed probability of a label and of the labels after it, [N, K] -> [N]."""
    return np.asarray(probabilities[:, list(labels).index(label) :].sum(axis=1))


def triage(labels: Sequence[str], probabilities: Floats, points: OperatingPoints | None) -> NDArray[np.str_]:
    """Zone of each film, [N, K] -> str [N].

    `refer` goes first: where a good model's thresholds cross (90 % specificity already at a lower score than 90 %
    sensitivity), no film is uncertain, and both rates hold at the lower threshold.
    """
    if points is None:
        return np.full(len(probabilities), "")
    scores = score(labels, probabilities, points.label)
    rules = [scores >= points.high_specificity.threshold, scores < points.high_sensitivity.threshold]
    zone = np.select(rules, [REFER, LOW_SUSPICION], UNCERTAIN)
    return np.where(np.isfinite(scores), zone, "")


def interval(t_score: Floats, fitted: TScoreInterval | None) -> tuple[Floats, Floats]:
    """Lower and upper ends [N]; NaN where there is no interval."""
    # One width for all films: split conformal prediction promises coverage over films, not for each of them.
    half = fitted.half_width if fitted else np.nan
    return t_score - half, t_score + half


def fusion_values(labels: Sequence[str], probabilities: Floats, t_score: Floats, facts: Facts) -> dict[str, Floats]:
    """The numbers that a fusion may weigh by name, see `osteolens.parameters.Fusion`; [N] each."""
    logarithms = np.log(np.maximum(probabilities, _TINY))
    image = {f"log_probability_{label}": logarithms[:, index] for index, label in enumerate(labels)}
    return image | {"t_score": t_score} | {"female" if name == "sex" else name: facts[name] for name in facts}
