"""Formulas of the figures, each for many weightings of the films at once.

A weight says how often a film counts: 1 for the figure, the number of draws for a bootstrap resample. `B` is the
number of weightings; a figure that is not defined under a weighting (no film of a class) is NaN there.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
ECE_BINS = 10


def accuracy(confusion: Floats) -> Floats:
    """Share of films on the diagonal, [B, K, K] (truth by rows, prediction by columns) -> [B]."""
    return np.asarray(np.trace(confusion, axis1=1, axis2=2) / confusion.sum(axis=(1, 2)))


def balanced_accuracy(confusion: Floats) -> Floats:
    """Mean recall of the classes that occur, [B, K, K] -> [B]."""
    counts = confusion.sum(axis=2)
    return np.asarray((_share(_hits(confusion), counts)).sum(axis=1) / (counts > 0).sum(axis=1))


def macro_f1(confusion: Floats) -> Floats:
    """Mean F1 of the classes that occur in truth or prediction, [B, K, K] -> [B]."""
    either = confusion.sum(axis=2) + confusion.sum(axis=1)
    return np.asarray(_share(2 * _hits(confusion), either).sum(axis=1) / (either > 0).sum(axis=1))


def sensitivity(confusion: Floats, label: int) -> Floats:
    """Share of a class's films that are predicted as that class, [B, K, K] -> [B]."""
    return np.asarray(confusion[:, label, label] / confusion[:, label].sum(axis=1))


def specificity(confusion: Floats, label: int) -> Floats:
    """Share of the other classes' films that are not predicted as this class, [B, K, K] -> [B]."""
    others = np.delete(confusion, label, axis=1)
    return np.asarray(1 - others[:, :, label].sum(axis=1) / others.sum(axis=(1, 2)))


def quadratic_kappa(confusion: Floats) -> Floats:
    """Cohen's kappa with quadratic weights (Cohen 1968), [B, K, K] -> [B]."""
    classes = confusion.shape[1]
    penalty = np.subtract.outer(np.arange(classes), np.arange(classes)) ** 2
    chance = confusion.sum(axis=2)[:, :, None] * confusion.sum(axis=1)[:, None, :]
    expected = (chance * penalty).sum(axis=(1, 2)) / confusion.sum(axis=(1, 2))
    return np.asarray(1 - (confusion * penalty).sum(axis=(1, 2)) / expected)


def auroc(score: Floats, positive: Flags, weights: Floats) -> Floats:
    """Probability that a positive film scores above a negative one, ties counted half (Mann and Whitney 1947).

    Args:
        score: [N].
        positive: bool [N].
        weights: [B, N].

    Returns:
        [B].
    """
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(score[negatives])]
    below, not_above = (np.searchsorted(score[negatives], score[positive], side) for side in ("left", "right"))
    losses = np.zeros((len(weights), len(negatives) + 1))  # of the first negatives, as many as the column's number
    np.cumsum(weights.take(negatives, axis=1), axis=1, out=losses[:, 1:])
    wins = weights.take(np.flatnonzero(positive), axis=1)
    beaten = (losses.take(below, axis=1) + losses.take(not_above, axis=1)) / 2
    return np.asarray((wins * beaten).sum(axis=1) / (wins.sum(axis=1) * losses[:, -1]))


def average_precision(score: Floats, positive: Flags, weights: Floats) -> Floats:
    """Mean precision over the positive films, each at its own score as threshold (no interpolation), [B].

    Args as for `auroc`. A score without information gets the share of positive films.
    """
    wins, losses = (part[:, ::-1] for part in _by_score(score, positive, weights))
    above = np.cumsum(wins, axis=1)
    precision = _share(above, above + np.cumsum(losses, axis=1))
    return np.asarray((wins * precision).sum(axis=1) / wins.sum(axis=1))


def calibration_error(confidence: Floats, right: Flags, weights: Floats) -> Floats:
    """Expected calibration error of the predicted class, [B]: mean of |share right - mean confidence| over bins.

    Ten bins of equal width (Naeini et al. 2015; Guo et al. 2017): unlike bins of equal mass they stay where they
    are from resample to resample. Few films make the figure large even for a perfect predictor.

    Args:
        confidence: [N], probability of the predicted class, 0 to 1.
        right: bool [N].
        weights: [B, N].
    """
    gaps = weights @ (_bins(confidence) * (right - confidence)[:, None])
    return np.asarray(np.abs(gaps).sum(axis=1) / weights.sum(axis=1))


def debiased_calibration_error(confidence: Floats, right: Flags, weights: Floats) -> Floats:
    """Root mean square calibration error of the predicted class without the share of chance, [B]; 0 where that is more.

    From the square of each bin's gap the variance of its share of right answers is taken off (Kumar et al. 2019), so
    that few films do not make a calibrated model look uncalibrated. Bins and arguments as for `calibration_error`.
    """
    bins = _bins(confidence)
    count = weights @ bins
    share, stated = (_share(weights @ (bins * values[:, None]), count) for values in (right, confidence))
    # The variance of a single film's answer cannot be estimated: its bin counts as without a gap.
    excess = np.where(count > 1, (share - stated) ** 2 - share * (1 - share) / np.maximum(count - 1, 1), 0)
    return np.asarray(np.sqrt(np.maximum((count * excess).sum(axis=1) / weights.sum(axis=1), 0)))


def calibration_error_by_chance(confidence: Floats, trials: int, seed: int) -> float:
    """95th percentile of the ECE of so many films if each is right exactly as often as its confidence [N] says."""
    right = np.random.default_rng(seed).random((trials, len(confidence))) < confidence
    gaps = (right - confidence) @ _bins(confidence)
    return float(np.percentile(np.abs(gaps).sum(axis=1), 95) / len(confidence))


def auroc_within(score: Floats, positive: Flags, weights: Floats, fold: NDArray[np.int64]) -> Floats:
    """Like `auroc`, but only over pairs of films in the same fold, [B]: models of different folds differ in level.

    Args:
        score: [N].
        positive: bool [N].
        weights: [B, N].
        fold: [N].
    """
    parts = [fold == number for number in np.unique(fold) if 0 < positive[fold == number].mean() < 1]
    pairs = np.array([(weights[:, p] @ positive[p]) * (weights[:, p] @ ~positive[p]) for p in parts])
    areas = np.array([auroc(score[p], positive[p], weights[:, p]) for p in parts])
    if not parts:
        return np.full(len(weights), np.nan)
    return np.asarray(np.where(pairs > 0, areas * pairs, 0).sum(axis=0) / pairs.sum(axis=0))


def brier(probabilities: Floats, truth: NDArray[np.int64]) -> Floats:
    """Squared distance of each film's probabilities from its class (Brier 1950), 0 to 2: [N, K], [N] -> [N]."""
    return np.asarray(((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(axis=1))


def pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Weighted correlation, [N], [N], [B, N] -> [B]; NaN where one side is constant."""
    x, y = x - x.mean(), y - y.mean()  # else the difference of two large squares loses the digits that count
    mean_x, mean_y = mean(x, weights), mean(y, weights)
    variance = (mean(x * x, weights) - mean_x**2) * (mean(y * y, weights) - mean_y**2)
    covariance = mean(x * y, weights) - mean_x * mean_y
    return np.asarray(
        covariance / np.sqrt(np.where(variance > 1e-15, variance, np.nan))
    )  # a constant's, after rounding


def deviation(values: Floats, weights: Floats) -> Floats:
    """Sample standard deviation (n - 1), [N], [B, N] -> [B]."""
    total, centre = weights.sum(axis=1), mean(values, weights)
    spread = mean(values**2, weights) - centre**2
    # Rounding can leave a spread just below 0.
    return np.asarray(np.sqrt(np.maximum(spread, 0) * total / (total - 1)))


def mean(values: ArrayLike, weights: Floats) -> Floats:
    """Weighted mean, [N], [B, N] -> [B]."""
    return np.asarray(weights @ np.asarray(values) / weights.sum(axis=1))


def _bins(confidence: Floats) -> Floats:
    """One-hot bin of each film, [N] -> [N, bins]."""
    return np.asarray(np.eye(ECE_BINS)[np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)])


def _by_score(score: Floats, positive: Flags, weights: Floats) -> tuple[Floats, Floats]:
    """Weight of the positive and of the negative films at each distinct score, rising: two of [B, scores]."""
    order = np.argsort(score, kind="stable")
    # NaN differs from every score, so that the first film starts a group.
    starts = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)
    ordered = weights[:, order]
    wins = np.add.reduceat(ordered * positive[order], starts, axis=1)
    return wins, np.add.reduceat(ordered, starts, axis=1) - wins


def _hits(confusion: Floats) -> Floats:
    return np.diagonal(confusion, axis1=1, axis2=2)


def _share(part: Floats, whole: Floats) -> Floats:
    """Quotient; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
