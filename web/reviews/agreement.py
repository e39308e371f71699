"""Figures about reviews: agreement of raters, and overlap of heat maps with regions. Numbers in, numbers out.

Intervals are 95 % percentile bootstrap intervals over films (B. Efron, Bootstrap methods: another look at the
jackknife, Ann. Statist. 7 (1979) 1-26). Films of one patient count as if they were of several.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from osteolens.agreement import Floats, cohen_kappa, fleiss_kappa

Ratings = NDArray[np.int64]
"""Index of the label that a rater gave a film, [N]; -1 where there is none."""

RESAMPLES = 1000
MIN_FILMS = 10
"""Fewer give no interval: it would be made of too few films to mean anything."""
IOU_THRESHOLD = 0.5
_DEFINED = 0.95


@dataclass(frozen=True)
class Figure:
    """A figure over n films.

    Attributes:
        value: None where it is not defined.
        low: Lower end of the interval; None with fewer than `MIN_FILMS` films, or where the figure is not defined in
            more than one resample of twenty.
        high: Upper end, likewise.
        n: Films.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Agreement:
    """Agreement of two raters on the films that both rated.

    Attributes:
        same: Share of films with the same label.
        kappa: Cohen's.
    """

    same: Figure
    kappa: Figure


@dataclass(frozen=True)
class MapScores:
    """Overlap of a map with a region, each figure 0 to 1.

    Attributes:
        pointing: Share of the map's brightest pixels that lie in the region: 1 or 0 where one is brightest. J. Zhang
            et al., Top-down neural attention by excitation backprop (ECCV 2016), without their tolerance.
        mass: Share of the sum of all map values that lies in the region. H. Wang et al., Score-CAM (CVPR workshops
            2020), as "energy-based pointing game".
        iou: Intersection over union of the region and the map's part from `IOU_THRESHOLD` of its maximum on.
        area: Share of the film that the region takes: what `pointing` and `mass` would be for a map that knows nothing.
    """

    pointing: float | None
    mass: float | None
    iou: float | None
    area: float


def draw(films: int) -> Floats:
    """Counts of each film in resamples with replacement: float64 [RESAMPLES, films]."""
    if not films:
        return np.zeros((RESAMPLES, 0))
    shares = np.full(films, 1 / films)
    # A fixed seed: the same reviews show the same interval on every visit.
    return np.random.default_rng(0).multinomial(films, shares, size=RESAMPLES).astype(np.float64)


def figure(measure: Callable[[Floats], Floats], weights: Floats) -> Figure:
    """A figure with its interval.

    Args:
        measure: Weights float64 [B, N] of the films to the figure [B], NaN where it is not defined.
        weights: Resamples of the N films that the figure is about, from `draw`, or part of its columns.
    """
    films = weights.shape[1]
    if not films:
        return Figure(None, None, None, 0)
    value = float(measure(np.ones((1, films)))[0])
    if math.isnan(value):
        return Figure(None, None, None, films)
    if films < MIN_FILMS:
        return Figure(value, None, None, films)
    values = measure(weights)
    known = values[np.isfinite(values)]
    if len(known) < _DEFINED * len(values):
        return Figure(value, None, None, films)
    low, high = np.percentile(known, (2.5, 97.5)).tolist()
    # Resamples of few films can be so skewed that their percentiles leave out the value itself.
    return Figure(value, min(low, value), max(high, value), films)


def agreement(first: Ratings, second: Ratings, labels: int, weights: Floats) -> Agreement:
    """Two raters of the same N films.

    Args:
        first: One rater's labels.
        second: The other's.
        labels: Number of labels.
        weights: Resamples from `draw(N)`.
    """
    both = (first >= 0) & (second >= 0)
    first, second, weights = first[both], second[both], weights[:, both]
    cells = np.eye(labels**2)[first * labels + second]

    def kappa(drawn: Floats) -> Floats:
        return cohen_kappa((drawn @ cells).reshape(-1, labels, labels))

    return Agreement(mean((first == second).astype(np.float64), weights), figure(kappa, weights))


def agreement_of_all(ratings: list[Ratings], labels: int, weights: Floats) -> Figure:
    """Fleiss' kappa over the films that at least two raters rated."""
    table = np.array(ratings, np.int64).reshape(len(ratings), weights.shape[1])
    counts = (table[..., None] == np.arange(labels)).sum(axis=0).astype(np.float64)
    enough = counts.sum(axis=1) >= 2
    return figure(lambda drawn: fleiss_kappa(counts[enough], drawn), weights[:, enough])


def mean(values: Floats, weights: Floats) -> Figure:
    """The mean over films; NaN does not count.

    Args:
        values: float64 [N].
        weights: [B, N].
    """
    known = np.isfinite(values)

    def measure(drawn: Floats) -> Floats:
        films = drawn.sum(axis=1)
        return np.asarray((drawn @ values[known]) / np.where(films > 0, films, np.nan))

    return figure(measure, weights[:, known])


def share(part: Floats, whole: Floats, weights: Floats) -> Figure:
    """The share of all reviews, whose films are drawn; n is their number.

    Args:
        part: float64 [N], reviews of each film that count.
        whole: float64 [N], all of its reviews.
        weights: [B, N].
    """

    def measure(drawn: Floats) -> Floats:
        count = drawn @ whole
        return np.asarray((drawn @ part) / np.where(count > 0, count, np.nan))

    return replace(figure(measure, weights), n=int(whole.sum()))


def map_scores(levels: NDArray[np.uint8], region: NDArray[np.bool_]) -> MapScores:
    """A map against a region that both cover the film edge to edge, computed at the map's own size.

    Args:
        levels: uint8 [h, w], 255 at the map's maximum; all scores but the area are None for an empty map.
        region: bool [H, W], at least one pixel is in it.
    """
    height, width = levels.shape
    # A pixel of the map counts by the share of it that lies in the region.
    cover = cv2.resize(region.astype(np.float64), (width, height), interpolation=cv2.INTER_AREA)
    area, total = float(region.mean()), float(levels.sum(dtype=np.float64))
    if not total:
        return MapScores(None, None, None, area)
    inside, peak = cover >= 0.5, levels.max()
    bright = levels >= IOU_THRESHOLD * float(peak)
    either = int((inside | bright).sum())
    return MapScores(
        pointing=float(inside[levels == peak].mean()),
        mass=float((levels * cover).sum() / total),
        iou=float((inside & bright).sum() / either),
        area=area,
    )
