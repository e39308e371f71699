"""Figures with intervals.

Every figure is a function of weights [R, N], so that one implementation gives the value (weights of one) and
all bootstrap resamples (how often each film's group was drawn) at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osteolens.card import Metric

Floats = NDArray[np.float64]
Measure = Callable[[Floats], Floats]
"""Weights float64 [R, N] -> figures [R]; NaN where a figure is not defined."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Scored:
    """Films with what is true and what a predictor said.

    Attributes:
        labels: The K classes, in order of severity.
        groups: [N]; films of one group are resampled together.
        truth: int64 [N], index of the class.
        probabilities: float64 [N, K].
        measured: float64 [N], the T-score; NaN where there is none.
        t_score: float64 [N], predicted; NaN where the predictor gives none.
    """

    labels: tuple[str, ...]
    groups: Sequence[str]
    truth: NDArray[np.int64]
    probabilities: Floats
    measured: Floats
    t_score: Floats


def figures(scored: Scored) -> dict[str, float]:
    """Figures by name; one that is not defined (Pearson's r of a constant) is left out."""
    values = _values(_measures(scored), np.ones((1, len(scored.truth))))
    return {name: float(value[0]) for name, value in values.items() if np.isfinite(value[0])}


def with_intervals(scored: Scored, resamples: int = RESAMPLES, seed: int = 0) -> tuple[Metric, ...]:
    """The same figures with 95 % percentile bootstrap intervals over groups.

    A resample in which a figure is not defined (no film of a class was drawn) does not count for that figure.
    """
    names, group = np.unique(np.asarray(scored.groups), return_inverse=True)
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    values = _values(_measures(scored), drawn[:, group].astype(np.float64))
    point = figures(scored)
    bounds = {name: np.nanpercentile(values[name], (2.5, 97.5)) for name in point}
    return tuple(
        Metric(name=name, value=value, low=float(bounds[name][0]), high=float(bounds[name][1]))
        for name, value in point.items()
    )


def _values(measures: Mapping[str, Measure], weights: Floats) -> dict[str, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return {name: measure(weights) for name, measure in measures.items()}


def _measures(scored: Scored) -> dict[str, Measure]:
    """All figures; AUROCs for the two ends of the scale (for two classes they are the same: the last)."""
    classes = len(scored.labels)
    cells = np.eye(classes**2)[scored.truth * classes + scored.probabilities.argmax(axis=1)]

    def confusion(weights: Floats) -> Floats:
        """Weighted counts [R, K, K]: truth by rows, prediction by columns."""
        return np.asarray((weights @ cells).reshape(-1, classes, classes))

    measures: dict[str, Measure] = {
        "accuracy": lambda weights: accuracy(confusion(weights)),
        "balanced accuracy": lambda weights: balanced_accuracy(confusion(weights)),
    }
    for index in (0, classes - 1) if classes > 2 else (1,):
        measures[f"AUROC {scored.labels[index]} vs rest"] = partial(
            auroc, scored.probabilities[:, index], scored.truth == index
        )
    measures["quadratic-weighted kappa"] = lambda weights: quadratic_kappa(confusion(weights))
    known = np.isfinite(scored.measured) & np.isfinite(scored.t_score)
    if known.any():
        measured, t_score = scored.measured[known], scored.t_score[known]
        measures["T-score MAE"] = lambda weights: _mean(np.abs(t_score - measured), weights[:, known])
        measures["T-score Pearson r"] = lambda weights: pearson(measured, t_score, weights[:, known])
    return measures


def accuracy(confusion: Floats) -> Floats:
    """Share of films on the diagonal, [R, K, K] -> [R]."""
    return np.asarray(np.trace(confusion, axis1=1, axis2=2) / confusion.sum(axis=(1, 2)))


def balanced_accuracy(confusion: Floats) -> Floats:
    """Mean recall of the classes that occur, [R, K, K] -> [R]."""
    counts = confusion.sum(axis=2)
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    recall = np.divide(hits, counts, out=np.zeros_like(counts), where=counts > 0)
    return np.asarray(recall.sum(axis=1) / (counts > 0).sum(axis=1))


def quadratic_kappa(confusion: Floats) -> Floats:
    """Cohen's kappa with quadratic weights (Cohen 1968), [R, K, K] -> [R]."""
    classes = confusion.shape[1]
    penalty = np.subtract.outer(np.arange(classes), np.arange(classes)) ** 2
    chance = confusion.sum(axis=2)[:, :, None] * confusion.sum(axis=1)[:, None, :]
    expected = (chance * penalty).sum(axis=(1, 2)) / confusion.sum(axis=(1, 2))
    return np.asarray(1 - (confusion * penalty).sum(axis=(1, 2)) / expected)


def auroc(score: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Probability that a positive film scores above a negative one, ties counted half (Mann and Whitney 1947).

    Args:
        score: [N].
        positive: bool [N].
        weights: [R, N].

    Returns:
        [R].
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)
    sorted_weights = weights[:, order]
    wins = np.add.reduceat(sorted_weights * positive[order], starts, axis=1)
    losses = np.add.reduceat(sorted_weights * ~positive[order], starts, axis=1)
    below = np.cumsum(losses, axis=1) - losses / 2
    return np.asarray((wins * below).sum(axis=1) / (wins.sum(axis=1) * losses.sum(axis=1)))


def pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Weighted correlation, [N], [N], [R, N] -> [R]; NaN where one side is constant."""
    x, y = x - x.mean(), y - y.mean()
    mean_x, mean_y = _mean(x, weights), _mean(y, weights)
    variance = (_mean(x * x, weights) - mean_x**2) * (_mean(y * y, weights) - mean_y**2)
    covariance = _mean(x * y, weights) - mean_x * mean_y
    return np.asarray(covariance / np.sqrt(np.where(variance > 1e-15, variance, np.nan)))


def _mean(values: ArrayLike, weights: Floats) -> Floats:
    return np.asarray(weights @ np.asarray(values) / weights.sum(axis=1))
