"""What the charts draw, as numbers: ROC and precision-recall curves with bootstrap bands, and calibration bins."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteolens.card import Metric
from osteolens.evaluation.evidence import Predictor
from osteolens.evaluation.metrics import Question, draw, sample
from osteolens.evaluation.predictions import Predictions

Floats = NDArray[np.float64]
Curve = Callable[[Floats, NDArray[np.bool_], Floats], Floats]
"""`roc` or `precision_recall`."""
GRID = np.linspace(0, 1, 101)
"""Where curves are read: false positive rates, or recalls."""
RESAMPLES = 500
BINS = 8
FEWEST_IN_A_BIN = 10


@dataclass(frozen=True)
class Band:
    """A curve over `GRID`, the mean over repeats, with a pointwise 95 % band; each float64 [101]."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Bin:
    """Films of about the same predicted probability, all repeats together."""

    predicted: float
    observed: Metric


def band(curve: Curve, predictions: Predictions, predictor: Predictor, question: Question) -> Band:
    """A predictor's curve, resampled by groups 500 times."""
    positive = question.truth(predictions.truth)
    scores = question.score(predictor.probabilities)
    draws = draw(predictions.groups, RESAMPLES, seed=0)
    # A resample without films of either kind has no curve.
    both = draws[:, positive].any(axis=1) & draws[:, ~positive].any(axis=1)

    def mean_over_repeats(weights: Floats) -> Floats:
        return np.asarray(np.mean([curve(score, positive, weights) for score in scores], axis=0))

    low, high = np.percentile(mean_over_repeats(draws[both]), (2.5, 97.5), axis=0)
    return Band(mean_over_repeats(np.ones((1, len(positive))))[0], low, high)


def roc(score: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """True positive rate at each false positive rate of `GRID`: [N], bool [N], weights [B, N] -> [B, 101].

    Straight lines between the thresholds, so that equal scores count half, as in the AUROC.
    """
    hits, false = _counts(score, positive, weights)
    rates = zip(false / false[:, -1:], hits / hits[:, -1:], strict=True)
    return np.array([np.interp(GRID, np.concatenate([[0], x]), np.concatenate([[0], y])) for x, y in rates])


def precision_recall(score: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Precision at each recall of `GRID`: that of the strictest threshold that reaches it; shapes as in `roc`."""
    hits, false = _counts(score, positive, weights)
    with np.errstate(invalid="ignore"):
        precision = hits / (hits + false)
    reached = hits / hits[:, -1:]
    # Before the first hit there is no recall to reach; a recall of 0 is read at the first hit.
    wanted = np.maximum(GRID, 1e-9)
    places = [np.searchsorted(row, wanted - 1e-12) for row in reached]
    return np.array([row[place] for row, place in zip(precision, places, strict=True)])


def _counts(score: Floats, positive: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Hits and false alarms at each threshold, strictest first: [B, thresholds] each."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=-np.inf) != 0)  # of each run of equal scores
    drawn = weights[:, order]
    hits = np.cumsum(drawn * positive[order], axis=1)[:, last]
    return hits, np.cumsum(drawn * ~positive[order], axis=1)[:, last]


def calibration_bins(predictions: Predictions, predictor: Predictor, question: Question) -> list[Bin]:
    """Predicted against observed shares in bins of equally many films; a constant predictor has one bin."""
    scores, positive = question.score(predictor.probabilities), question.truth(predictions.truth)
    count = max(1, min(BINS, scores.shape[1] // FEWEST_IN_A_BIN))
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, count + 1)[1:-1]))
    place = np.searchsorted(edges, scores, side="right")
    draws = draw(predictions.groups, RESAMPLES, seed=0)
    bins: list[Bin] = []
    for number in np.unique(place):
        inside = (place == number).sum(axis=0).astype(np.float64)  # in how many repeats each film is in this bin

        def observed(weights: Floats, inside: Floats = inside) -> dict[str, Floats]:
            return {"observed": (weights * inside) @ positive / (weights @ inside)}

        (metric,) = sample(observed, draws).metrics()
        bins.append(Bin(float(scores[place == number].mean()), metric))
    return bins
