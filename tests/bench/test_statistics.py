"""Figures that can be worked out by hand, and properties that intervals must have."""

import math

import numpy as np
import pytest

from osteolens.bench.statistics import difference, median_interval, paired_ratio, percentiles


def test_percentiles_are_linear_between_neighbours() -> None:
    assert percentiles([float(value) for value in range(101)]) == (50, 95, 99)
    assert percentiles([10, 20]) == pytest.approx((15, 19.5, 19.9))


def test_equal_rounds_leave_no_doubt() -> None:
    interval = median_interval([7.0] * 6)
    assert (interval.value, interval.low, interval.high) == (7, 7, 7)


def test_an_interval_holds_the_median_and_stays_within_the_rounds() -> None:
    interval = median_interval([1, 2, 3, 4, 50])
    assert interval.value == 3
    assert 1 <= interval.low < 3 < interval.high <= 50


def test_intervals_are_the_same_each_time() -> None:
    rounds = np.random.default_rng(3).normal(10, 1, 12).tolist()
    assert median_interval(rounds) == median_interval(rounds)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    intervals = [median_interval(random.normal(10, 1, 15).tolist()) for _ in range(200)]
    covered = sum(interval.low <= 10 <= interval.high for interval in intervals)
    assert 175 <= covered <= 200  # 190 are meant; percentile intervals of few rounds are a little narrow


@pytest.mark.parametrize(("new", "excludes_zero"), [([20.0, 21, 22, 23, 24], True), ([11.0, 9, 10, 12, 8], False)])
def test_difference(new: list[float], excludes_zero: bool) -> None:
    interval = difference([8.0, 9, 10, 11, 12], new)
    assert interval.value == np.median(new) - 10
    assert interval.excludes_zero is excludes_zero
    assert interval.low <= interval.value <= interval.high


def test_a_difference_of_fewer_milliseconds_excludes_zero_as_well() -> None:
    assert difference([20.0, 21, 22, 23, 24], [10.0, 11, 12, 13, 14]).excludes_zero


def test_too_few_rounds_give_a_figure_without_an_interval() -> None:
    for interval in (median_interval([1.0, 2, 3, 4]), difference([1.0] * 9, [2.0] * 4), paired_ratio([2.0], [1.0])):
        assert math.isnan(interval.low)
        assert not interval.is_known
        assert not interval.excludes_zero


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that slows down fivefold slows both down; the ratio of two in turns stays what it is."""
    below = np.array([10, 20, 30, 40, 50.0])
    interval = paired_ratio(3 * below, below)
    assert (interval.value, interval.low, interval.high) == pytest.approx((3, 3, 3))
