"""How well facts predict a label: a random forest, fitted and scored by group-stratified cross-validation."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from osteolens.card import Metric
from osteolens.datasets.folds import assign_folds
from osteolens.evaluation import measures
from osteolens.evaluation.metrics import draw

Column = list[float] | list[str]
Columns = Mapping[str, Column]
"""Facts by name, one value per picture: numbers (NaN where unknown) or words."""

FOLDS = 5
RESAMPLES = 1000
_TREES = 100


def score_forest(columns: Columns, truth: Sequence[str], groups: Sequence[str]) -> tuple[Metric, ...]:
    """Accuracy, balanced accuracy, AUROC of each label against the rest, and their mean, with 95 % intervals.

    Args:
        columns: Facts of N pictures.
        truth: Label of each picture; at least `FOLDS` groups have each label.
        groups: Group of each picture: those of one group are never on both sides of the cross-validation.
    """
    labels = tuple(sorted(set(truth)))
    numbers = np.array([labels.index(label) for label in truth])
    forest = RandomForestClassifier(
        _TREES, min_samples_leaf=max(5, len(truth) // 100), class_weight="balanced", random_state=0
    )
    folds = PredefinedSplit(assign_folds(truth, groups, FOLDS, seed=0))
    probabilities = cross_val_predict(forest, _numeric(columns), numbers, cv=folds, method="predict_proba")
    return tuple(_figures(labels, numbers, probabilities, draw(groups, RESAMPLES, seed=0)))


def _numeric(columns: Columns) -> NDArray[np.float64]:
    """[N, F]: numbers as they are (NaN where unknown, which forests take), and one column of 0 and 1 per word."""
    parts = [
        [[float(value == word) for value in column] for word in sorted({*column})]
        if isinstance(column[0], str)
        else [column]
        for column in columns.values()
    ]
    return np.array([values for part in parts for values in part], np.float64).T


def _figures(
    labels: Sequence[str], truth: NDArray[np.int64], probabilities: NDArray[np.float64], draws: NDArray[np.float64]
) -> list[Metric]:
    """All metrics with their 95 % percentile intervals over resampled groups."""
    classes = len(labels)
    cells = np.eye(classes**2)[truth * classes + probabilities.argmax(axis=1)]
    # The first row counts every picture once: the figure itself. The others are the resamples of its interval.
    weights = np.vstack([np.ones(len(truth)), draws])
    confusion = (weights @ cells).reshape(-1, classes, classes)
    # A resample without a class has no AUROC for it: 0 / 0 there, and `_metric` leaves it out.
    with np.errstate(divide="ignore", invalid="ignore"):
        areas = np.array([measures.auroc(probabilities[:, k], truth == k, weights) for k in range(classes)])
        values = {
            "accuracy": measures.accuracy(confusion),
            "balanced accuracy": measures.balanced_accuracy(confusion),
            "mean AUROC": areas.mean(axis=0),
        }
    if classes > 2:
        values |= {f"AUROC {label} vs rest": area for label, area in zip(labels, areas, strict=True)}
    return [_metric(name, resampled) for name, resampled in values.items()]


def _metric(name: str, values: NDArray[np.float64]) -> Metric:
    """The first value, with an interval from the others; one of which no class was drawn does not count."""
    low, high = np.nanpercentile(values[1:], (2.5, 97.5)).tolist()
    value = float(values[0])
    return Metric(name=name, value=value, low=min(low, value), high=max(high, value))
