"""Figures with intervals: one function names and computes them all, for one split and for repeated folds alike.

Every figure is a function of weights (`measures`), so one implementation gives the value and all bootstrap
resamples at once. Over repeats, a figure is the mean of each repeat's figure; a resample draws groups once for all
repeats and all predictors, so that differences between predictors are paired.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteolens.card import Metric
from osteolens.evaluation import measures

Floats = NDArray[np.float64]
RESAMPLES = 2000
DEBIASED = "calibration error, debiased"
WITHIN_FOLDS, WITHIN_FAMILIES = "AUROC within folds", "AUROC within families"
_CHUNK = 4_000_000
"""Weights that are processed together, which bounds the memory that thousands of films take."""


@dataclass(frozen=True)
class Scored:
    """Films with their true classes and T-scores, and the predicted ones.

    Attributes:
        labels: The K classes, in order of severity.
        groups: [N]; films of one group are resampled together.
        truth: int64 [N], index of the class.
        probabilities: float64 [N, K].
        measured: float64 [N], the T-score; NaN where there is none.
        t_score: float64 [N], predicted; NaN where there is none.
        fold: int64 [N], the fold whose model predicted; None where one model predicted all films.
        family: int64 [N], the device family of each film; None where it is not known.
    """

    labels: tuple[str, ...]
    groups: Sequence[str]
    truth: NDArray[np.int64]
    probabilities: Floats
    measured: Floats
    t_score: Floats
    fold: NDArray[np.int64] | None = None
    family: NDArray[np.int64] | None = None

    def among(self, chosen: NDArray[np.bool_]) -> "Scored":
        """Some of the films, chosen by bool [N]."""
        groups = [group for group, is_chosen in zip(self.groups, chosen, strict=True) if is_chosen]
        rows = (self.truth[chosen], self.probabilities[chosen], self.measured[chosen], self.t_score[chosen])
        strata = (None if values is None else values[chosen] for values in (self.fold, self.family))
        return Scored(self.labels, groups, *rows, *strata)


@dataclass(frozen=True)
class Question:
    """A yes-or-no question about ordered labels: is the class one of these?

    The score of a film is the sum of their probabilities. The first and the last label have a question each, the
    labels between them one together with all that are more severe.
    """

    name: str
    positive: tuple[int, ...]

    def score(self, probabilities: Floats) -> Floats:
        """[..., K] -> [...]."""
        return np.asarray(probabilities[..., list(self.positive)].sum(axis=-1))

    def truth(self, truth: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the class is among the positive ones, [N] -> bool [N]."""
        return np.isin(truth, self.positive)


def questions(labels: Sequence[str]) -> tuple[Question, ...]:
    """One question for each of the K - 1 borders between ordered labels, from mild to severe."""
    last = len(labels) - 1
    if last == 1:
        return (Question(f"{labels[1]} vs rest", (1,)),)
    middle = (Question(f"{labels[k]} and above vs below", tuple(range(k, last + 1))) for k in range(2, last))
    return (Question(f"{labels[0]} vs rest", (0,)), *middle, Question(f"{labels[last]} vs rest", (last,)))


@dataclass(frozen=True)
class Bootstrap:
    """Figures by name, with the value on every resample (float64 [B], NaN where it is not defined)."""

    point: dict[str, float]
    resampled: dict[str, Floats]

    def minus(self, other: "Bootstrap") -> "Bootstrap":
        """The difference of the figures that both have; both must come from the same draws."""
        names = [name for name in self.point if name in other.point]
        return Bootstrap(
            {name: self.point[name] - other.point[name] for name in names},
            {name: self.resampled[name] - other.resampled[name] for name in names},
        )

    def metrics(self) -> tuple[Metric, ...]:
        """The figures with 95 % percentile intervals.

        A resample in which a figure is not defined does not count for that figure. An interval always contains its
        figure: those of the calibration error are shifted upwards, as resampling adds noise to every bin.
        """
        return tuple(
            Metric(name=name, value=value, low=min(low, value), high=max(high, value))
            for name, value in self.point.items()
            if np.isfinite(self.resampled[name]).any()
            for low, high in [np.nanpercentile(self.resampled[name], (2.5, 97.5)).tolist()]
        )


def figures(scored: Scored) -> dict[str, float]:
    """Figures by name; one that is not defined (Pearson's r of a constant) is left out."""
    return bootstrap([scored], np.ones((1, len(scored.truth)))).point


def draw(groups: Sequence[str], resamples: int, seed: int) -> Floats:
    """Draw whole groups with replacement: how often each film is drawn, float64 [resamples, N]."""
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    # How often each of G groups is drawn in G draws is multinomial: no list of draws is needed.
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return drawn[:, group].astype(np.float64)


def bootstrap(repeats: Sequence[Scored], draws: Floats) -> Bootstrap:
    """All figures, as the mean over repeats.

    Args:
        repeats: The same films, predicted again in each repeat.
        draws: [B, N] from `draw`, or part of its columns for part of the films.
    """

    def means(weights: Floats) -> dict[str, Floats]:
        values = [dict(_values(scored, weights)) for scored in repeats]
        return {name: np.mean([row[name] for row in values], axis=0) for name in values[0]}

    return sample(means, draws)


def sample(measure: Callable[[Floats], dict[str, Floats]], draws: Floats) -> Bootstrap:
    """Compute figures by name that are functions of weights [B, N]; undefined ones are left out."""
    ones = np.ones((1, draws.shape[1]))
    parts = np.array_split(draws, max(1, draws.size // _CHUNK))
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 is a figure that is not defined
        point = {name: float(value[0]) for name, value in measure(ones).items() if np.isfinite(value[0])}
        resampled = [measure(part) for part in parts]
    return Bootstrap(point, {name: np.concatenate([values[name] for values in resampled]) for name in point})


def _values(scored: Scored, weights: Floats) -> Iterator[tuple[str, Floats]]:
    """All figures of one repeat, [B] each."""
    labels, classes = scored.labels, len(scored.labels)
    predicted = scored.probabilities.argmax(axis=1)
    cells = np.eye(classes**2)[scored.truth * classes + predicted]
    confusion = (weights @ cells).reshape(-1, classes, classes)
    yield "accuracy", measures.accuracy(confusion)
    yield "balanced accuracy", measures.balanced_accuracy(confusion)
    yield "macro-F1", measures.macro_f1(confusion)
    binary = [(q.name, q.score(scored.probabilities), q.truth(scored.truth)) for q in questions(labels)]
    for name, score, positive in binary:
        yield f"AUROC {name}", measures.auroc(score, positive, weights)
    for prefix, strata in ((WITHIN_FOLDS, scored.fold), (WITHIN_FAMILIES, scored.family)):
        if strata is not None and len(np.unique(strata)) > 1:
            for name, score, positive in binary:
                yield f"{prefix} {name}", measures.auroc_within(score, positive, weights, strata)
    for name, score, positive in binary:
        yield f"average precision {name}", measures.average_precision(score, positive, weights)
    for index, label in enumerate(labels):
        yield f"sensitivity {label}", measures.sensitivity(confusion, index)
        yield f"specificity {label}", measures.specificity(confusion, index)
    yield "quadratic-weighted kappa", measures.quadratic_kappa(confusion)
    confidence = scored.probabilities.max(axis=1)
    yield "ECE", measures.calibration_error(confidence, predicted == scored.truth, weights)
    yield DEBIASED, measures.debiased_calibration_error(confidence, predicted == scored.truth, weights)
    yield "Brier score", measures.mean(measures.brier(scored.probabilities, scored.truth), weights)
    known = np.isfinite(scored.measured) & np.isfinite(scored.t_score)
    if known.any():
        yield from _t_score_values(scored.measured[known], scored.t_score[known], weights[:, known])


def _t_score_values(measured: Floats, t_score: Floats, weights: Floats) -> Iterator[tuple[str, Floats]]:
    """Agreement of T-scores; limits of agreement are bias +- 1.96 standard deviations (Bland and Altman 1986)."""
    error = t_score - measured
    bias, spread = measures.mean(error, weights), 1.96 * measures.deviation(error, weights)
    yield "T-score MAE", measures.mean(np.abs(error), weights)
    yield "T-score Pearson r", measures.pearson(measured, t_score, weights)
    yield "T-score bias", bias
    yield "T-score lower limit of agreement", bias - spread
    yield "T-score upper limit of agreement", bias + spread
