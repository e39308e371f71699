"""Calibration in the large and slope against scikit-learn, a root finder and numpy, resample by resample."""

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression
from support.simulated import simulate

from osteolens.evaluation.evidence import Parameters
from osteolens.evaluation.metrics import draw
from osteolens.evaluation.predictors import answer_as_served
from osteolens.evaluation.slope import calibration_figures, in_the_large, slope, t_score_slope


@pytest.fixture(scope="module")
def drawn():
    """200 probabilities, outcomes that are rarer and less certain than they say, and resamples."""
    random = np.random.default_rng(3)
    shares = random.beta(1, 2, 200)
    logits = np.log(shares / (1 - shares))
    positive = random.random(200) < 1 / (1 + np.exp(-(0.6 * logits - 0.5)))
    weights = random.multinomial(200, np.full(200, 1 / 200), size=5).astype(float)
    return shares, logits, positive, np.concatenate([np.ones((1, 200)), weights])


def test_slope_is_that_of_a_logistic_regression_without_penalty(drawn):
    shares, logits, positive, weights = drawn
    expected = [
        LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits[:, None], positive, row).coef_[0, 0]
        for row in weights
    ]
    assert slope(shares, positive, weights) == pytest.approx(expected, abs=1e-5)
    assert 0.4 < expected[0] < 0.8  # 0.6 was drawn


def test_in_the_large_is_where_expected_meets_observed(drawn):
    shares, logits, positive, weights = drawn
    expected = [
        brentq(lambda shift, row=row: row @ (1 / (1 + np.exp(-(logits + shift)))) - row @ positive, -9, 9)
        for row in weights
    ]
    assert in_the_large(shares, positive, weights) == pytest.approx(expected, abs=1e-8)


def test_by_hand():
    """Half of the films at 0.2 and at 0.8 are positive as often as 0.5 and 0.5: slope 0, and as often as said: 1."""
    shares = np.repeat([0.2, 0.8], 10)
    one = np.ones((1, 20))
    flat = np.tile([True, False], 10)
    assert slope(shares, flat, one) == pytest.approx([0], abs=1e-9)
    assert in_the_large(shares, flat, one) == pytest.approx([0], abs=1e-9)
    right = np.array([True] * 2 + [False] * 8 + [True] * 8 + [False] * 2)
    assert slope(shares, right, one) == pytest.approx([1])
    # At 0.5 throughout, 3 of 4 positive films are logit(0.75) = log 3 above what was predicted.
    assert in_the_large(np.full(4, 0.5), np.array([True, True, True, False]), np.ones((1, 4))) == pytest.approx(
        [np.log(3)]
    )


def test_what_is_not_defined_is_nan():
    shares, one = np.array([0.1, 0.2, 0.8, 0.9]), np.ones((1, 4))
    parted, mixed = np.array([False, False, True, True]), np.array([False, True, False, True])
    assert np.isnan(slope(shares, parted, one)).all()  # no finite slope fits best
    assert np.isnan(slope(shares, ~parted, one)).all()
    assert np.isnan(slope(np.full(4, 0.3), mixed, one)).all()
    assert np.isnan(in_the_large(shares, np.full(4, True), one)).all()
    assert np.isfinite(slope(shares, mixed, one)).all()
    assert np.isfinite(slope(np.array([0.0, 0.2, 0.8, 1.0]), mixed, one)).all()


def test_t_score_slope_is_a_line_through_weighted_points():
    random = np.random.default_rng(0)
    predicted = random.normal(-2, 1, 50)
    measured = 0.4 * predicted + random.normal(size=50)
    weights = random.integers(0, 4, (3, 50)).astype(float)
    expected = [np.polyfit(predicted, measured, 1, w=np.sqrt(row))[0] for row in weights]
    assert t_score_slope(measured, predicted, weights) == pytest.approx(expected)
    assert np.isnan(t_score_slope(measured, np.full(50, -2.0), weights)).all()


def test_all_figures_of_a_predictor_have_intervals():
    table = simulate(200, repeats=1, folds=1, image=2)
    (image,) = answer_as_served(table, Parameters(), "served")
    figures = {m.name: m for m in calibration_figures(table, image, draw(table.groups, 200, 0)).metrics()}
    assert set(figures) == {
        f"{kind} {question}"
        for kind in ("calibration in the large", "calibration slope", "observed to expected")
        for question in ("normal vs rest", "osteoporosis vs rest")
    } | {"T-score slope"}
    too_sure = figures["calibration slope osteoporosis vs rest"]  # logits were multiplied by three
    assert too_sure.high < 1
    positive = table.truth == 2
    ratio = positive.sum() / image.probabilities[0][:, 2].sum()
    assert figures["observed to expected osteoporosis vs rest"].value == pytest.approx(ratio)
