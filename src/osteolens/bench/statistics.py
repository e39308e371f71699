"""Figures over rounds, with intervals that need no assumption about how latencies are distributed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
SEED = 0
MIN_ROUNDS = 5
"""Resampling fewer values than these says next to nothing."""
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; the ends are NaN where there were too few rounds."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether there were rounds enough."""
        return not np.isnan(self.low)

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is more than the rounds' own scatter; false where that is not known."""
        return self.low > 0 or self.high < 0


def percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile, linear between neighbours."""
    p50, p95, p99 = np.percentile(values, PERCENTILES)
    return float(p50), float(p95), float(p99)


def median_interval(rounds: Sequence[float]) -> Interval:
    """The median over rounds; percentile bootstrap over rounds, which are independent as single calls are not."""
    return _interval(float(np.median(rounds)), _resampled(rounds, seed=SEED), len(rounds))


def difference(old: Sequence[float], new: Sequence[float]) -> Interval:
    """New median less old median, of two runs that know nothing of each other."""
    value = float(np.median(new) - np.median(old))
    spread = _resampled(new, seed=SEED) - _resampled(old, seed=SEED + 1)
    return _interval(value, spread, min(len(old), len(new)))


def paired_ratio(above: Sequence[float], below: Sequence[float]) -> Interval:
    """The median over rounds of a ratio; both were measured in each round."""
    ratios = np.asarray(above, np.float64) / np.asarray(below, np.float64)
    return _interval(float(np.median(ratios)), _resampled(ratios, seed=SEED), len(ratios))


def _resampled(rounds: Sequence[float] | NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Medians of as many rounds drawn with replacement: float64 [RESAMPLES]."""
    values = np.asarray(rounds, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    return np.median(values[drawn], axis=1)


def _interval(value: float, spread: NDArray[np.float64], rounds: int) -> Interval:
    if rounds < MIN_ROUNDS:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(spread, (2.5, 97.5))
    return Interval(value, float(low), float(high))
