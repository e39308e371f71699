"""The figures by hand, and against scikit-learn with every film repeated as often as its weight says."""

import numpy as np
import pytest
from sklearn import metrics as reference

from osteolens.evaluation import measures
from osteolens.reports.verdicts import CALIBRATED_AT

CONFUSION = np.array([[[2.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]])
ONES = np.ones((1, 4))


@pytest.fixture(params=range(4))
def random(request):
    return np.random.default_rng(request.param)


def weighted(random, count=60, rows=3):
    """Whole weights, some of them 0: [rows, count]."""
    return random.integers(0, 4, (rows, count))


def test_accuracy_and_mean_recall():
    assert measures.accuracy(CONFUSION) == pytest.approx(4 / 6)
    assert measures.balanced_accuracy(CONFUSION) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_balanced_accuracy_and_f1_are_over_the_classes_that_occur():
    missing = np.array([[[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    assert measures.balanced_accuracy(missing) == pytest.approx(0.75)
    assert measures.macro_f1(missing) == pytest.approx((6 / 7 + 0) / 2)


def test_sensitivity_and_specificity_of_each_class():
    assert [measures.sensitivity(CONFUSION, k)[0] for k in range(3)] == pytest.approx([2 / 3, 1 / 2, 1])
    assert [measures.specificity(CONFUSION, k)[0] for k in range(3)] == pytest.approx([1, 3 / 4, 4 / 5])


def test_quadratic_kappa():
    # Rows 3, 2, 1 and columns 2, 2, 2: expected penalty 5 + 4/3 + 5/3 = 8, observed 1 + 1.
    assert measures.quadratic_kappa(CONFUSION) == pytest.approx(1 - 2 / 8)


def test_auroc_counts_pairs_and_halves_ties():
    positive = np.array([False, False, True, True])
    assert measures.auroc(np.array([0.1, 0.4, 0.35, 0.8]), positive, ONES) == pytest.approx(3 / 4)
    assert measures.auroc(np.array([0.1, 0.4, 0.4, 0.8]), positive, ONES) == pytest.approx(3.5 / 4)
    assert measures.auroc(np.full(4, 0.3), positive, ONES) == pytest.approx(0.5)


def test_average_precision_by_hand():
    # From the top: positive (1/1), negative, positive (2/3), negative.
    positive = np.array([False, True, False, True])
    assert measures.average_precision(np.array([0.1, 0.4, 0.5, 0.8]), positive, ONES) == pytest.approx((1 + 2 / 3) / 2)
    assert measures.average_precision(np.full(4, 0.3), positive, ONES) == pytest.approx(0.5)


def test_rankings_agree_with_the_reference(random):
    score, positive = random.integers(0, 9, 60) / 10, random.random(60) < 0.4
    weights = weighted(random)
    for ours, theirs in [
        (measures.auroc, reference.roc_auc_score),
        (measures.average_precision, reference.average_precision_score),
    ]:
        expected = [theirs(np.repeat(positive, row), np.repeat(score, row)) for row in weights]
        assert ours(score, positive, weights.astype(float)) == pytest.approx(expected)


def test_figures_of_the_confusion_agree_with_the_reference(random):
    truth, predicted = random.integers(0, 4, 60), random.integers(0, 4, 60)
    weights = weighted(random)
    confusion = np.stack([reference.confusion_matrix(truth, predicted, sample_weight=row) for row in weights]).astype(
        float
    )
    pairs = [(np.repeat(truth, row), np.repeat(predicted, row)) for row in weights]
    for ours, theirs in [
        (measures.accuracy, reference.accuracy_score),
        (measures.balanced_accuracy, reference.balanced_accuracy_score),
        (measures.macro_f1, lambda *pair: reference.f1_score(*pair, average="macro")),
        (measures.quadratic_kappa, lambda *pair: reference.cohen_kappa_score(*pair, weights="quadratic")),
    ]:
        assert ours(confusion) == pytest.approx([theirs(*pair) for pair in pairs])
    for label in range(4):
        for ours, positive in ((measures.sensitivity, True), (measures.specificity, False)):
            expected = [reference.recall_score(t == label, g == label, pos_label=positive) for t, g in pairs]
            assert ours(confusion, label) == pytest.approx(expected)


def test_calibration_error_by_hand():
    # Bins 0.5 to 0.6 (right 1 of 2 at 0.55) and 0.9 to 1 (right 1 of 2 at 0.95; 1.0 belongs to the last bin).
    confidence, right = np.array([0.5, 0.6 - 1e-9, 0.9, 1.0]), np.array([True, False, True, False])
    assert measures.calibration_error(confidence, right, ONES) == pytest.approx((2 * 0.05 + 2 * 0.45) / 4, abs=1e-6)
    right = np.array([True, True, True, False])  # too unsure in one bin, as much too sure in the other
    assert measures.calibration_error(confidence, right, ONES) == pytest.approx((2 * 0.45 + 2 * 0.45) / 4, abs=1e-6)
    weights = np.array([[1.0, 0.0, 3.0, 0.0]])
    assert measures.calibration_error(confidence, right, weights) == pytest.approx((0.5 + 3 * 0.1) / 4)


def test_the_debiased_calibration_error_by_hand():
    # Bin 0.6 to 0.7: right 3 of 4 at 0.65, a gap of 0.1, less 0.75 x 0.25 / 3. Bin 0.9 to 1: right 0 of 4 at 0.95.
    confidence = np.array([0.65] * 4 + [0.95] * 4)
    right = np.array([True, True, True, False, False, False, False, False])
    expected = np.sqrt((4 * (0.1**2 - 0.75 * 0.25 / 3) + 4 * 0.95**2) / 8)
    assert measures.debiased_calibration_error(confidence, right, np.ones((1, 8))) == pytest.approx(expected)
    assert measures.debiased_calibration_error(confidence[:4], right[:4], ONES) == 0  # chance alone would give more
    assert measures.debiased_calibration_error(np.array([0.7]), np.array([True]), np.ones((1, 1))) == 0


def test_without_bias_a_calibrated_model_has_no_error_on_average_where_ece_has(random):
    shares = random.uniform(0.3, 1, 100)
    squares, plain = [], []
    for _ in range(300):
        right = random.random(100) < shares
        squares.append(measures.debiased_calibration_error(shares, right, np.ones((1, 100)))[0])
        plain.append(measures.calibration_error(shares, right, np.ones((1, 100)))[0])
    assert np.median(squares) < 0.05 < np.mean(plain)


def test_calibration_error_by_chance_is_the_95th_percentile():
    # One bin: |share right of 100 - 0.75| is above 1.96 standard errors in 1 case of 20; shares are whole percents.
    expected = 1.96 * np.sqrt(0.75 * 0.25 / 100)
    assert measures.calibration_error_by_chance(np.full(100, 0.75), 4000, 0) == pytest.approx(expected, abs=0.01)
    assert measures.calibration_error_by_chance(np.ones(100), 10, 0) == 0


def test_a_perfectly_calibrated_model_is_called_so_in_19_of_20_draws(random):
    shares = random.dirichlet(np.ones(3), 150)
    confidence = shares.max(axis=1)
    limit = measures.calibration_error_by_chance(confidence, 2000, 0)
    assert limit > CALIBRATED_AT  # which the verdict allows in any case
    refused = []
    for _ in range(1000):
        truth = (random.random((150, 1)) > shares.cumsum(axis=1)).sum(axis=1)
        right = shares.argmax(axis=1) == truth
        refused.append(measures.calibration_error(confidence, right, np.ones((1, 150)))[0] > limit)
    assert np.mean(refused) == pytest.approx(0.05, abs=0.025)


def test_the_area_within_folds_compares_films_of_one_fold_only():
    score = np.array([0.1, 0.2, 0.3, 10.1, 10.3, 10.2])
    positive = np.array([False, True, False, False, True, True])
    fold = np.array([0, 0, 0, 1, 1, 1])
    # Fold 0: the positive beats one of two negatives. Fold 1: both positives beat the negative. 3 of 4 pairs.
    assert measures.auroc_within(score, positive, np.ones((1, 6)), fold) == pytest.approx(0.75)
    # Pooled: 0.2 beats 1 of 3 negatives, 10.3 and 10.2 beat all three: 7 of 9.
    assert measures.auroc(score, positive, np.ones((1, 6))) == pytest.approx(7 / 9)
    weights = np.array([[1.0, 2.0, 1.0, 1.0, 1.0, 0.0]])
    assert measures.auroc_within(score, positive, weights, fold) == pytest.approx((2 + 1) / (4 + 1))
    assert np.isnan(measures.auroc_within(score, positive, np.ones((1, 6)), positive.astype(int)))  # no pairs


def test_brier_is_over_all_classes():
    scores = measures.brier(np.array([[0.6, 0.3, 0.1], [0.0, 0.0, 1.0]]), np.array([1, 2]))
    assert scores == pytest.approx([0.6**2 + 0.7**2 + 0.1**2, 0])


def test_pearson_and_deviation_agree_with_numpy(random):
    x, y, weights = random.normal(size=60), random.normal(size=60), weighted(random)
    expected = [np.corrcoef(np.repeat(x, row), np.repeat(y, row))[0, 1] for row in weights]
    assert measures.pearson(x, y, weights.astype(float)) == pytest.approx(expected)
    expected = [np.repeat(x, row).std(ddof=1) for row in weights]
    assert measures.deviation(x, weights.astype(float)) == pytest.approx(expected)


def test_pearson_of_a_constant_is_not_defined():
    assert np.isnan(measures.pearson(np.array([1.0, 2, 3]), np.full(3, -1.7), np.ones((1, 3)))).all()
