"""How many patients it takes: for an interval of a wanted width, and for showing a gain over age and sex.

A gain is planned for by two normal scores, one of age and sex and one of the image, whose best combination is known.
The size follows from DeLong's variance of the difference in AUROC (DeLong et al. 1988; Obuchowski and McClish 1997).
Studies of that size are then drawn to see how many of them show it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]
from scipy.stats import rankdata  # type: ignore[import-untyped]

from osteolens.card import Evaluation, Metric

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
TWO_SIDED = 1.959964
"""Standard errors in half of a 95 % interval."""
STUDIES = 200
"""Studies that are drawn to check a size."""
MOST_DRAWN = 20_000
"""Patients of a drawn study; a larger one would take long to draw and is not checked."""
_LARGE = 40_000
_PLANNED = ("AUROC ", "sensitivity ", "specificity ", "balanced accuracy", "quadratic-weighted kappa", "T-score MAE")


@dataclass(frozen=True)
class Needed:
    """How many films would give a figure the wanted interval; `films` is None where no interval can be scaled."""

    predictor: str
    metric: Metric
    films: int | None
    groups: int | None


@dataclass(frozen=True)
class Scores:
    """What is assumed of two scores, both normal in the ill and in the well.

    Attributes:
        baseline: AUROC of age and sex.
        image: AUROC of the image alone.
        correlation: Of the two scores within the ill and within the well, -1 to 1.
        share: Share of the patients who are ill.
    """

    baseline: float
    image: float
    correlation: float
    share: float

    @property
    def together(self) -> float:
        """AUROC of the best combination (the linear discriminant)."""
        return float(ndtr(math.sqrt(self._separation @ self.weights) / math.sqrt(2)))

    @property
    def gain(self) -> float:
        """AUROC of the best combination less that of age and sex."""
        return self.together - self.baseline

    @property
    def weights(self) -> Floats:
        """Weights of the two scores in the best combination, [2]."""
        rho = self.correlation
        return np.asarray(np.linalg.solve(np.array([[1, rho], [rho, 1]]), self._separation))

    @property
    def _separation(self) -> Floats:
        """Distance of the means of the ill and the well, in standard deviations, [2]."""
        return np.asarray(math.sqrt(2) * ndtri(np.array([self.baseline, self.image])))

    def study(self, patients: int, random: np.random.Generator) -> tuple[Floats, Floats, Flags]:
        """Draw patients: score of age and sex, score of the best combination, who is ill, [patients] each."""
        ill = np.arange(patients) < round(patients * self.share)
        drawn = random.normal(size=(patients, 2))
        drawn[:, 1] = self.correlation * drawn[:, 0] + math.sqrt(1 - self.correlation**2) * drawn[:, 1]
        drawn += ill[:, None] * self._separation
        return drawn[:, 0], drawn @ self.weights, ill


@dataclass(frozen=True)
class Gain:
    """Size of a study that shows a gain.

    Attributes:
        scores: What is assumed.
        patients: Patients needed; None where there is no gain to show.
        power: Share of drawn studies of that size that show the gain; None where that was not drawn.
    """

    scores: Scores
    patients: int | None
    power: float | None


def films_needed(evaluations: Sequence[Evaluation], half_width: float) -> tuple[Needed, ...]:
    """The number of films at which an interval would be as wide as wanted, for the key figures.

    Args:
        evaluations: Figures with 95 % intervals.
        half_width: Half of the wanted interval's width.
    """
    return tuple(
        Needed(
            each.subject,
            metric,
            *(scaled(count, (metric.high - metric.low) / 2, half_width) for count in (each.films, each.groups)),
        )
        for each in evaluations
        for metric in each.metrics
        if metric.name.startswith(_PLANNED)
    )


def scaled(count: int, width: float, wanted: float) -> int | None:
    """The count at which an interval's half width is as wanted: it goes with 1 / sqrt(count)."""
    if width < 1e-9:  # every film right, or every film wrong: that says nothing of the next ones
        return None
    return math.ceil(count * (width / wanted) ** 2 - 1e-9)


def standard_error(auroc: float, ill: float, well: float) -> float:
    """Standard error of an AUROC measured on so many ill and well patients (Hanley and McNeil 1982)."""
    first, second = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc) + (ill - 1) * (first - auroc**2) + (well - 1) * (second - auroc**2)
    return math.sqrt(variance / (ill * well))


def patients_for_interval(auroc: float, share: float, half_width: float) -> int:
    """Patients, of whom a share is ill, for a 95 % interval of an assumed AUROC."""
    error = standard_error(auroc, _LARGE * share, _LARGE * (1 - share))
    return scaled(_LARGE, TWO_SIDED * error, half_width) or 0


def patients_for_gain(scores: Scores, power: float, *, studies: int = STUDIES, seed: int = 0) -> Gain:
    """Patients for a 95 % interval of the gain over age and sex that excludes 0, in a share `power` of studies.

    Args:
        scores: What is assumed.
        power: Share of studies of this size that should show the gain.
        studies: Studies to draw as a check; 0 for none.
        seed: For what is drawn.
    """
    if scores.gain < 1e-6 or scores.weights[1] < 0:  # an image that ranks worse than chance is no gain turned round
        return Gain(scores, None, None)
    random = np.random.default_rng(seed)
    error = delong(*scores.study(_LARGE, random))[1]
    patients = scaled(_LARGE, error, scores.gain / (TWO_SIDED + float(ndtri(power)))) or 0
    if not studies or patients > MOST_DRAWN or patients * min(scores.share, 1 - scores.share) < 2:
        return Gain(scores, patients, None)
    shown = 0
    for _ in range(studies):
        difference, spread = delong(*scores.study(patients, random))
        shown += difference > TWO_SIDED * spread
    return Gain(scores, patients, shown / studies)


def delong(before: Floats, after: Floats, ill: Flags) -> tuple[float, float]:
    """Difference of two scores' AUROC on the same patients, after less before, and its standard error.

    Args:
        before: [N].
        after: [N].
        ill: bool [N].
    """
    first, second = (_placements(score, ill) for score in (before, after))
    changes = [b - a for a, b in zip(first, second, strict=True)]
    variance = sum(change.var(ddof=1) / len(change) for change in changes)
    return float(changes[0].mean()), math.sqrt(variance)


def _placements(score: Floats, ill: Flags) -> tuple[Floats, Floats]:
    """Share of the well below each ill patient, and of the ill above each well one; ties count half."""
    ranks = rankdata(score)
    among = [rankdata(score[part]) for part in (ill, ~ill)]
    well, sick = (~ill).sum(), ill.sum()
    return (ranks[ill] - among[0]) / well, 1 - (ranks[~ill] - among[1]) / sick
