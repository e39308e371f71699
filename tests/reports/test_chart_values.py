import numpy as np
import pytest
from sklearn.metrics import roc_curve
from support.simulated import simulate

from osteolens.evaluation.evidence import Predictor
from osteolens.evaluation.metrics import Question
from osteolens.evaluation.predictions import Predictions
from osteolens.labels import LABELS
from osteolens.reports.chart_values import GRID, band, calibration_bins, precision_recall, roc

ILL = Question("osteoporosis vs rest", (2,))


def predictor(probabilities: np.ndarray) -> Predictor:
    nothing = np.full(probabilities.shape[:2], np.nan)
    return Predictor("image", "made up", probabilities, nothing, nothing, nothing, nothing.astype(str))


def saying(predictions: Predictions, score: np.ndarray) -> Predictor:
    """A predictor whose probability of osteoporosis is `score` in each repeat."""
    shares = np.stack([(1 - score) / 2, (1 - score) / 2, score], axis=-1)
    return predictor(np.broadcast_to(shares, (len(predictions.fold), *shares.shape)))


def test_roc_is_that_of_scikit_learn_with_ties() -> None:
    random = np.random.default_rng(0)
    score, positive = random.integers(0, 12, 80) / 12, random.random(80) < 0.4
    false, true, _ = roc_curve(positive, score, drop_intermediate=False)
    np.testing.assert_allclose(roc(score, positive, np.ones((1, 80)))[0], np.interp(GRID, false, true), atol=1e-12)


def test_precision_at_each_recall_is_worked_out_by_hand() -> None:
    score, positive = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    precision = precision_recall(score, positive, np.ones((1, 4)))[0]
    # The first film alone gives recall 1/2 at precision 1; the first three give recall 1 at precision 2/3.
    np.testing.assert_allclose(precision, np.where(GRID <= 0.5, 1, 2 / 3))


@pytest.mark.parametrize("curve", [roc, precision_recall])
def test_a_film_of_weight_two_counts_as_two_films(curve) -> None:
    random = np.random.default_rng(1)
    score, positive = random.random(20), np.arange(20) % 3 == 0
    weights = random.integers(0, 3, 20)
    twice = np.repeat(np.arange(20), weights)
    alone = curve(score, positive, weights[None].astype(float))
    np.testing.assert_allclose(alone, curve(score[twice], positive[twice], np.ones((1, len(twice)))))


def test_a_perfect_predictor_has_a_perfect_curve_without_a_band() -> None:
    predictions = simulate()
    truth = predictions.truth == LABELS.index("osteoporosis")
    interval = band(roc, predictions, saying(predictions, np.where(truth, 0.9, 0.1)), ILL)
    for values in (interval.value, interval.low, interval.high):
        np.testing.assert_allclose(values, 1)


def test_a_band_holds_its_curve() -> None:
    predictions = simulate()
    interval = band(roc, predictions, saying(predictions, np.random.default_rng(0).random(90)), ILL)
    assert (interval.low <= interval.value + 1e-9).all()
    assert (interval.value <= interval.high + 1e-9).all()
    assert (interval.high - interval.low).max() > 0.1


def test_bins_hold_the_observed_shares() -> None:
    predictions = simulate()
    truth = predictions.truth == 2
    score = np.where(np.arange(90) < 45, 0.2, 0.7)
    low, high = calibration_bins(predictions, saying(predictions, score), ILL)
    assert (low.predicted, high.predicted) == pytest.approx((0.2, 0.7))
    assert low.observed.value == pytest.approx(truth[:45].mean())
    assert high.observed.value == pytest.approx(truth[45:].mean())


def test_a_constant_predictor_has_one_bin() -> None:
    predictions = simulate()
    (only,) = calibration_bins(predictions, saying(predictions, np.full(90, 0.3)), ILL)
    assert only.observed.value == pytest.approx((predictions.truth == 2).mean())
