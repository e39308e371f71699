"""Fits calibration, operating points and T-score intervals on out-of-fold predictions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.optimize import minimize  # type: ignore[import-untyped]

from osteolens.datasets.films import Film
from osteolens.evaluation.evidence import Method
from osteolens.evaluation.predictions import Predictions
from osteolens.inference.calibration import SEXES, ZONES, Facts, calibrate, log_softmax, score, triage
from osteolens.labels import usual
from osteolens.parameters import OperatingPoint, OperatingPoints, Temperature, TScoreInterval, VectorScaling

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Calibration = Temperature | VectorScaling | None

LEVEL = 0.9
"""Target of sensitivity, specificity and coverage of the T-score interval."""
TRIAGE_LABEL = "osteoporosis"
PARTS_OF_A_FOLD = 5
MIN_RESIDUAL_GROUPS = 9  # ceil(0.9 (n + 1)) <= n from here on: a finite half width is enough
_SHARPEST, _FLATTEST = 0.05, 50.0  # bounds of the temperature; the vector's scales follow


@dataclass(frozen=True)
class Rows:
    """M rows of a table of predictions, to fit on or to score.

    Attributes:
        predictions: The table, with R repeats and N films.
        chosen: bool [R, N], the rows.
    """

    predictions: Predictions
    chosen: Flags

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of these rows: [N], [R, N] or [R, N, ...] -> [M, ...]."""
        return (np.broadcast_to(values, self.chosen.shape) if values.ndim == 1 else values)[self.chosen]

    @property
    def labels(self) -> tuple[str, ...]:
        """The K classes."""
        return self.predictions.labels

    @cached_property
    def logits(self) -> Floats:
        """float64 [M, K]."""
        return self.of(self.predictions.logits)

    @cached_property
    def truth(self) -> NDArray[np.int64]:
        """int64 [M]."""
        return self.of(self.predictions.truth)

    @cached_property
    def measured(self) -> Floats:
        """Measured T-scores, float64 [M]; NaN where there is none."""
        return self.of(self.predictions.measured)

    @cached_property
    def t_score(self) -> Floats:
        """Predicted T-scores, float64 [M]; NaN where there is none."""
        return self.of(self.predictions.t_score)

    @cached_property
    def film(self) -> NDArray[np.int64]:
        """Index of each row's film, int64 [M]."""
        return self.of(np.arange(len(self.predictions.films)))

    @cached_property
    def facts(self) -> Facts:
        """Facts about the patients, [M] each; NaN where unknown."""
        return {name: self.of(values) for name, values in facts_of(self.predictions.films).items()}

    @cached_property
    def weights(self) -> Floats:
        """float64 [M]: the repeats of a film weigh as one film, or regularisation would be too weak."""
        return np.full(len(self.film), 1 / max(1, self.chosen.any(axis=1).sum()))

    def among(self, mask: Flags) -> "Rows":
        """Rows chosen from these by bool [M]."""
        chosen = np.zeros_like(self.chosen)
        chosen[self.chosen] = mask
        return Rows(self.predictions, chosen)

    def turns(self) -> Iterator[tuple["Rows", "Rows"]]:
        """For each fold of each repeat: the repeat's other rows to fit on, and the fold's rows to score.

        Where a repeat has one fold here (a held-out set, or one of two while the other is scored), its groups are
        split into five parts.
        """
        _, number_of_group = np.unique(np.array(self.predictions.groups), return_inverse=True)
        for repeat, folds in enumerate(self.predictions.fold):
            here = np.zeros_like(self.chosen)
            here[repeat] = self.chosen[repeat]
            single = len(np.unique(folds[self.chosen[repeat]])) == 1
            parts = number_of_group % PARTS_OF_A_FOLD if single else folds
            for part in np.unique(parts[self.chosen[repeat]]):
                scored = here & (parts == part)
                yield Rows(self.predictions, here & ~scored), Rows(self.predictions, scored)


def facts_of(films: Sequence[Film]) -> Facts:
    """Facts about the patients, [N] each; NaN where unknown."""
    return {
        "age": np.array([film.age for film in films]),
        "sex": np.array([SEXES.get(film.sex, np.nan) for film in films]),
        "weight_kg": np.array([film.weight_kg for film in films]),
        "height_m": np.array([film.height_m for film in films]),
    }


def fit_calibration(method: Method, rows: Rows) -> Calibration:
    """Fit a method's parameters by the log-loss on these rows (Guo et al. 2017).

    Vector scales are kept positive, so that a higher logit never makes its label less likely.
    """
    if method == "none":
        return None
    if method == "temperature":
        (inverse,) = _descend(rows, np.ones((1, len(rows.labels))), np.zeros((0, len(rows.labels))))
        return Temperature(temperature=float(1 / inverse))
    count = len(rows.labels)
    solution = _descend(rows, np.eye(count), np.eye(count))
    bias = solution[count:] - solution[count:].mean()  # softmax ignores a number that all labels share
    return VectorScaling(scale=tuple(solution[:count].tolist()), bias=tuple(bias.tolist()))


def log_loss(probabilities: Floats, truth: NDArray[np.int64]) -> float:
    """Mean negative natural logarithm of the true class's probability: [N, K], [N]."""
    # One film with a probability of 0 would make the mean infinite.
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12)).mean())


def triage_label(labels: Sequence[str]) -> str | None:
    """The label from which on a film counts as ill, in the spelling of `labels`; None if it is not among them."""
    return next((name for name in labels if usual(name) == TRIAGE_LABEL), None)


def fit_operating_points(rows: Rows, probabilities: Floats, served: Floats | None = None) -> OperatingPoints | None:
    """Thresholds at 90 % sensitivity and at 90 % specificity for osteoporosis.

    Args:
        rows: M rows.
        probabilities: [M, K], to set the thresholds on.
        served: [M, K], by the parameters that the card serves; default: the same.

    Returns:
        The points with the share of these rows in each zone, by the served probabilities; None if osteoporosis is not
        among the labels, all films have it or none, or a zone is empty.
    """
    label = triage_label(rows.labels)
    if label is None:
        return None
    ill = rows.truth >= rows.labels.index(label)
    if ill.all() or not ill.any():
        return None
    scores = score(rows.labels, probabilities, label)
    distinct = np.concatenate([[0.0], np.unique(scores), [1 + 1e-6]])
    thresholds = (distinct[:-1] + distinct[1:]) / 2  # midway, so that rounding cannot move a film across
    sensitivity = 1 - np.searchsorted(np.sort(scores[ill]), thresholds) / ill.sum()
    specificity = np.searchsorted(np.sort(scores[~ill]), thresholds) / (~ill).sum()
    points = [
        OperatingPoint(threshold=threshold, sensitivity=share, specificity=other)
        for threshold, share, other in zip(thresholds.tolist(), sensitivity, specificity, strict=True)
    ]
    pair = OperatingPoints(
        label=label,
        high_sensitivity=[point for point in points if point.sensitivity >= LEVEL][-1],
        high_specificity=next(point for point in points if point.specificity >= LEVEL),
    )
    zone = triage(rows.labels, probabilities if served is None else served, pair)
    try:
        zones = {name: float((zone == name).mean()) for name in ZONES}
        return OperatingPoints.model_validate(pair.model_dump() | {"zones": zones})
    except ValidationError:  # the card refuses an empty zone
        return None


def fit_interval(rows: Rows, t_score: Floats, served: Floats | None = None) -> TScoreInterval | None:
    """Half width of the conformal 90 % interval from absolute residuals of cross-fitted T-scores.

    The residuals of a group (its films, each in every repeat) share one unit of weight, and one more unit lies at
    infinity for the film to come ("pooling CDFs", Dunn, Wasserman and Ramdas 2022). With one film per group and one
    repeat that is the usual finite-sample quantile, the ceil(0.9 (n + 1))-th smallest residual.

    Args:
        rows: M rows.
        t_score: [M], cross-fitted; NaN where there is none.
        served: [M], the T-scores that the card's own parameters give for these rows; default: `t_score`. The share of
            measured T-scores that the interval then covers is stored with it.

    Returns:
        The interval, or None where fewer than `MIN_RESIDUAL_GROUPS` groups have residuals: no finite width is enough
        then.
    """
    residuals = np.abs(t_score - rows.measured)
    known = np.isfinite(residuals)
    groups = rows.of(np.array(rows.predictions.groups))[known]
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(residuals[known])
    reached = np.cumsum((1 / counts)[group][order]) / (len(counts) + 1)
    enough = np.flatnonzero(reached >= LEVEL - 1e-9)  # the sums round
    if not enough.size:
        return None
    half_width = float(residuals[known][order][enough[0]])
    off = residuals if served is None else np.abs(served - rows.measured)
    covered = float((off[np.isfinite(off)] <= half_width).mean())
    return TScoreInterval(half_width=half_width, level=LEVEL, covered=covered)


def _descend(rows: Rows, scale_of: Floats, bias_of: Floats) -> Floats:
    """Minimise the log-loss of log-probabilities x scale + bias.

    Args:
        rows: M rows.
        scale_of: [S, K], scale = the first S parameters @ scale_of.
        bias_of: [B, K], bias = the other B parameters @ bias_of.

    Returns:
        [S + B]. The problem is convex, so where the search starts does not matter.
    """
    scales, biases = len(scale_of), len(bias_of)
    target = np.eye(len(rows.labels))[rows.truth]
    logits = log_softmax(rows.logits)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        scaled = logits * (parameters[:scales] @ scale_of) + parameters[scales:] @ bias_of
        probabilities = calibrate(scaled, None)
        slope = (probabilities - target) / len(target)
        gradient = np.concatenate([scale_of @ (slope * logits).sum(axis=0), bias_of @ slope.sum(axis=0)])
        return log_loss(probabilities, rows.truth), gradient

    # Labels that the logits separate without error would drive the parameters to infinity.
    bounds: Sequence[tuple[float, float]] = [(1 / _FLATTEST, 1 / _SHARPEST)] * scales + [(-20.0, 20.0)] * biases
    start = np.concatenate([np.ones(scales), np.zeros(biases)])
    solution = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return np.asarray(solution.x)
