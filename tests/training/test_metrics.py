import numpy as np
import pytest

from osteolens.labels import LABELS
from osteolens.training import metrics
from osteolens.training.metrics import Scored, figures, with_intervals

NAN = float("nan")
CONFUSION = np.array([[[2.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]])


def scored(truth, predicted, groups=None, measured=None, t_score=None, labels=LABELS):
    count = len(truth)
    return Scored(
        labels=labels,
        groups=groups or [str(index) for index in range(count)],
        truth=np.array(truth),
        probabilities=np.eye(len(labels))[predicted],
        measured=np.array(measured or [NAN] * count),
        t_score=np.array(t_score or [NAN] * count),
    )


def test_accuracy_and_mean_recall():
    assert metrics.accuracy(CONFUSION) == pytest.approx(4 / 6)
    assert metrics.balanced_accuracy(CONFUSION) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_balanced_accuracy_is_over_the_classes_that_occur():
    assert metrics.balanced_accuracy(np.array([[[3.0, 1.0], [0.0, 0.0]]])) == pytest.approx(0.75)


def test_quadratic_kappa():
    # Rows 3, 2, 1 and columns 2, 2, 2: expected penalty 5 + 4/3 + 5/3 = 8, observed 1 + 1.
    assert metrics.quadratic_kappa(CONFUSION) == pytest.approx(1 - 2 / 8)


def test_auroc_counts_pairs_and_halves_ties():
    ones = np.ones((1, 4))
    positive = np.array([False, False, True, True])
    assert metrics.auroc(np.array([0.1, 0.4, 0.35, 0.8]), positive, ones) == pytest.approx(3 / 4)
    assert metrics.auroc(np.array([0.1, 0.4, 0.4, 0.8]), positive, ones) == pytest.approx(3.5 / 4)
    assert metrics.auroc(np.full(4, 0.3), positive, ones) == pytest.approx(0.5)


def test_weights_are_repetitions():
    random = np.random.default_rng(0)
    score, positive = random.integers(0, 5, 20).astype(float), random.random(20) < 0.4
    x, y, times = random.normal(size=20), random.normal(size=20), random.integers(0, 4, 20)
    ones = np.ones((1, times.sum()))
    weights = times[None].astype(float)
    repeated = metrics.auroc(np.repeat(score, times), np.repeat(positive, times), ones)
    assert metrics.auroc(score, positive, weights) == pytest.approx(repeated)
    assert metrics.pearson(x, y, weights) == pytest.approx(np.corrcoef(np.repeat(x, times), np.repeat(y, times))[0, 1])


def test_pearson_by_hand_and_of_a_constant():
    ones = np.ones((1, 3))
    assert metrics.pearson(np.array([1.0, 2, 3]), np.array([1.0, 3, 2]), ones) == pytest.approx(0.5)
    assert np.isnan(metrics.pearson(np.array([1.0, 2, 3]), np.full(3, -1.7), ones)).all()


def test_figures_names_and_t_scores_where_measured():
    found = figures(scored([0, 1, 2, 2], [0, 1, 2, 1], measured=[0, -2, -3, NAN], t_score=[-0.5, -1, -3, 9]))
    assert list(found) == [
        "accuracy",
        "balanced accuracy",
        "AUROC normal vs rest",
        "AUROC osteoporosis vs rest",
        "quadratic-weighted kappa",
        "T-score MAE",
        "T-score Pearson r",
    ]
    assert found["accuracy"] == pytest.approx(0.75)
    assert found["T-score MAE"] == pytest.approx(0.5)
    assert found["AUROC osteoporosis vs rest"] == pytest.approx(0.75)


def test_two_classes_have_one_auroc_and_no_t_score_no_figure():
    found = figures(scored([0, 1], [0, 1], labels=("healthy", "ill")))
    assert [name for name in found if "AUROC" in name] == ["AUROC ill vs rest"]
    assert not [name for name in found if "T-score" in name]


def test_intervals_resample_groups_not_films():
    # One group of 50 films all right, one all wrong: a resample has accuracy 0, 1/2 or 1 (1/4, 1/2, 1/4).
    groups = ["a"] * 50 + ["b"] * 50
    metric = with_intervals(scored([0, 1] * 50, [0, 1] * 25 + [1, 0] * 25, groups))[0]
    assert (metric.name, metric.value, metric.low, metric.high) == ("accuracy", 0.5, 0.0, 1.0)


def test_intervals_against_the_binomial_and_the_same_each_time():
    data = scored([0] * 50 + [1] * 50, [0] * 40 + [1] * 10 + [1] * 40 + [0] * 10)
    first, second = with_intervals(data), with_intervals(data)
    assert first == second
    assert first[0].value == pytest.approx(0.8)
    assert first[0].low == pytest.approx(0.8 - 1.96 * 0.04, abs=0.02)
    assert first[0].high == pytest.approx(0.8 + 1.96 * 0.04, abs=0.02)
