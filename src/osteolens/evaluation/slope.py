"""Calibration in the large and calibration slope, for many weightings of the films at once (see `measures`).

The outcome is regressed on the logit of the predicted probability (Cox, "Two further applications of a model for binary
regression", 1958). A slope below 1 means answers that are too extreme. Calibration in the large is the intercept with
the slope held at 1: above 0, the finding is more frequent than predicted (Van Calster et al., BMC Medicine 17, 2019).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from osteolens.evaluation import measures
from osteolens.evaluation.evidence import Predictor
from osteolens.evaluation.metrics import Bootstrap, questions, sample
from osteolens.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
IN_THE_LARGE, SLOPE, RATIO = "calibration in the large", "calibration slope", "observed to expected"
T_SCORE_SLOPE = "T-score slope"
_TINY = 1e-6  # a probability of 0 has no logit
_ITERATIONS, _LONGEST_STEP = 30, 2.0


def calibration_figures(predictions: Predictions, predictor: Predictor, draws: Floats) -> Bootstrap:
    """For each border between labels the three figures, and the slope of measured over predicted T-scores.

    Args:
        predictions: N films, with one answer each.
        predictor: Answered them.
        draws: [B, N], from `metrics.draw`.
    """
    return sample(lambda weights: dict(_values(predictions, predictor, weights)), draws)


def _values(predictions: Predictions, predictor: Predictor, weights: Floats) -> Iterator[tuple[str, Floats]]:
    for question in questions(predictions.labels):
        shares = question.score(predictor.probabilities[0])
        positive = question.truth(predictions.truth)
        yield f"{IN_THE_LARGE} {question.name}", in_the_large(shares, positive, weights)
        yield f"{SLOPE} {question.name}", slope(shares, positive, weights)
        yield f"{RATIO} {question.name}", np.asarray(weights @ positive / (weights @ shares))
    known = np.isfinite(predictions.measured) & np.isfinite(predictor.t_score[0])
    if known.any():
        measured, predicted = predictions.measured[known], predictor.t_score[0][known]
        yield T_SCORE_SLOPE, t_score_slope(measured, predicted, weights[:, known])


def in_the_large(shares: Floats, positive: Flags, weights: Floats) -> Floats:
    """Intercept of the outcome on the logit of the probability, with the slope held at 1.

    Args:
        shares: [N], predicted probabilities.
        positive: bool [N].
        weights: [B, N].

    Returns:
        [B]; NaN where all films, or none, are positive.
    """
    logits, shift = _logit(shares), np.zeros(len(weights))
    for _ in range(_ITERATIONS):
        expected = 1 / (1 + np.exp(-(shift[:, None] + logits)))
        off, curve = (weights * (positive - expected)).sum(axis=1), (weights * expected * (1 - expected)).sum(axis=1)
        shift = shift + np.clip(off / curve, -_LONGEST_STEP, _LONGEST_STEP)
    both = (weights @ positive > 0) & (weights @ ~positive > 0)
    return np.where(both, shift, np.nan)


def slope(shares: Floats, positive: Flags, weights: Floats) -> Floats:
    """Slope of the outcome on the logit of the probability; arguments and result as those of `in_the_large`.

    NaN also where all probabilities are the same, or where they part the films without an error.
    """
    logits = _logit(shares)
    if np.ptp(logits) < _TINY:
        return np.full(len(weights), np.nan)
    scale = logits.std()
    tilt = _tilt((logits - logits.mean()) / scale, positive, weights) / scale
    return np.where(_parted(logits, positive, weights), np.nan, tilt)


def t_score_slope(measured: Floats, predicted: Floats, weights: Floats) -> Floats:
    """Slope of the regression of measured [N] on predicted [N] T-scores, [B]; NaN for a constant prediction."""
    predicted, measured = predicted - predicted.mean(), measured - measured.mean()
    mean_x, mean_y = measures.mean(predicted, weights), measures.mean(measured, weights)
    variance = measures.mean(predicted * predicted, weights) - mean_x**2
    covariance = measures.mean(predicted * measured, weights) - mean_x * mean_y
    return np.asarray(covariance / np.where(variance > 1e-12, variance, np.nan))


def _parted(logits: Floats, positive: Flags, weights: Floats) -> Flags:
    """Whether some threshold has all positive films on one side and all others on the other: bool [B]."""
    low, high = (
        [fill(np.where((weights > 0) & side, logits, empty), axis=1) for side in (positive, ~positive)]
        for fill, empty in ((np.min, np.inf), (np.max, -np.inf))
    )
    return np.asarray((low[0] >= high[1]) | (low[1] >= high[0]))


def _logit(shares: Floats) -> Floats:
    inside = np.clip(shares, _TINY, 1 - _TINY)
    return np.asarray(np.log(inside / (1 - inside)))


def _tilt(x: Floats, positive: Flags, weights: Floats) -> Floats:
    """Slopes [B] of logistic regressions on x [N], of mean 0 and deviation 1, by Newton's method from 0."""
    base, tilt = np.zeros((2, len(weights)))
    for _ in range(_ITERATIONS):
        expected = 1 / (1 + np.exp(-(base[:, None] + tilt[:, None] * x)))
        off, curve = weights * (positive - expected), weights * expected * (1 - expected)
        first, second = off.sum(axis=1), off @ x
        by_one, by_both, by_square = curve.sum(axis=1), curve @ x, curve @ (x * x)
        determinant = by_one * by_square - by_both**2
        base = base + np.clip((by_square * first - by_both * second) / determinant, -1, 1)
        tilt = tilt + np.clip((by_one * second - by_both * first) / determinant, -1, 1)
    settled = np.maximum(np.abs(first), np.abs(second)) < 1e-6 * weights.sum(axis=1)
    return np.where(settled, tilt, np.nan)
