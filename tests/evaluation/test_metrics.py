import numpy as np
import pytest

from osteolens.evaluation import metrics
from osteolens.evaluation.metrics import Scored, bootstrap, draw, figures, questions
from osteolens.labels import LABELS

NAN = float("nan")
GRADES = ("0", "1", "2", "3", "4")


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


def with_intervals(scored_films):
    return bootstrap([scored_films], draw(scored_films.groups, metrics.RESAMPLES, seed=0)).metrics()


def at_random(seed=0, count=40, labels=LABELS):
    random = np.random.default_rng(seed)
    return Scored(
        labels=labels,
        groups=[f"g{index // 2}" for index in range(count)],
        truth=np.arange(count) % len(labels),
        probabilities=random.dirichlet(np.ones(len(labels)), count),
        measured=random.normal(size=count),
        t_score=random.normal(size=count),
    )


def test_figures_names_and_t_scores_where_measured():
    values = figures(scored([0, 1, 2, 2], [0, 1, 2, 1], measured=[0, -2, -3, NAN], t_score=[-0.5, -1, -3, 9]))
    assert list(values) == [
        "accuracy",
        "balanced accuracy",
        "macro-F1",
        "AUROC normal vs rest",
        "AUROC osteoporosis vs rest",
        "average precision normal vs rest",
        "average precision osteoporosis vs rest",
        "sensitivity normal",
        "specificity normal",
        "sensitivity osteopenia",
        "specificity osteopenia",
        "sensitivity osteoporosis",
        "specificity osteoporosis",
        "quadratic-weighted kappa",
        "ECE",
        "calibration error, debiased",
        "Brier score",
        "T-score MAE",
        "T-score Pearson r",
        "T-score bias",
        "T-score lower limit of agreement",
        "T-score upper limit of agreement",
    ]
    assert values["accuracy"] == pytest.approx(0.75)
    assert values["AUROC osteoporosis vs rest"] == pytest.approx(0.75)
    assert values["sensitivity osteoporosis"] == pytest.approx(0.5)
    assert values["specificity osteopenia"] == pytest.approx(2 / 3)
    assert values["ECE"] == pytest.approx(0.25)
    assert values["Brier score"] == pytest.approx(0.5)
    # Errors -0.5, 1 and 0: their sample deviation is the root of (4/9 + 25/36 + 1/36) / 2.
    assert values["T-score MAE"] == pytest.approx(0.5)
    assert values["T-score bias"] == pytest.approx(1 / 6)
    spread = 1.96 * np.sqrt((4 / 9 + 25 / 36 + 1 / 36) / 2)
    assert values["T-score lower limit of agreement"] == pytest.approx(1 / 6 - spread)
    assert values["T-score upper limit of agreement"] == pytest.approx(1 / 6 + spread)


def test_two_classes_have_one_auroc_and_no_t_score_no_figure():
    values = figures(scored([0, 1], [0, 1], labels=("healthy", "ill")))
    assert [name for name in values if "AUROC" in name] == ["AUROC ill vs rest"]
    assert not [name for name in values if "T-score" in name]


def test_five_ordered_classes_have_a_question_at_each_border():
    borders = questions(GRADES)
    assert [(question.name, question.positive) for question in borders] == [
        ("0 vs rest", (0,)),
        ("2 and above vs below", (2, 3, 4)),
        ("3 and above vs below", (3, 4)),
        ("4 vs rest", (4,)),
    ]
    assert borders[1].score(np.array([[0.1, 0.2, 0.3, 0.3, 0.1]])) == pytest.approx([0.7])
    # Grade 1 and grade 2 are mistaken for each other: the border between them suffers, the others do not.
    values = figures(scored([0, 1, 2, 3, 4], [0, 2, 1, 3, 4], labels=GRADES))
    assert values["AUROC 2 and above vs below"] == pytest.approx((0.5 + 1 + 1 + 0 + 0.5 + 0.5) / 6)
    assert values["AUROC 3 and above vs below"] == values["AUROC 0 vs rest"] == 1


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


def test_an_interval_contains_its_figure():
    # Perfectly calibrated as it is, and worse in every resample.
    none = np.full(4, NAN)
    data = Scored(("a", "b"), list("wxyz"), np.array([0, 0, 0, 1]), np.tile([0.75, 0.25], (4, 1)), none, none)
    ece = next(metric for metric in with_intervals(data) if metric.name == "ECE")
    assert ece.value == ece.low == pytest.approx(0)
    assert ece.high > 0.2


def test_a_figure_over_repeats_is_the_mean_of_each_repeats_figure():
    repeats = [at_random(seed) for seed in range(3)]
    draws = draw(repeats[0].groups, 50, seed=0)
    together, alone = bootstrap(repeats, draws), [bootstrap([repeat], draws) for repeat in repeats]
    for name, value in together.point.items():
        assert value == pytest.approx(np.mean([repeat.point[name] for repeat in alone]))
        assert together.resampled[name] == pytest.approx(np.mean([repeat.resampled[name] for repeat in alone], axis=0))


def test_resamples_are_the_figures_of_repeated_films():
    data = at_random()
    draws = draw(data.groups, 5, seed=1)
    sampled = bootstrap([data], draws)
    for row, times in enumerate(draws.astype(int)):
        films = np.repeat(np.arange(len(times)), times)
        again = Scored(
            data.labels,
            [data.groups[film] for film in films],
            data.truth[films],
            data.probabilities[films],
            data.measured[films],
            data.t_score[films],
        )
        expected = figures(again)
        assert {name: values[row] for name, values in sampled.resampled.items()} == pytest.approx(expected)


def test_many_resamples_are_taken_in_parts(monkeypatch):
    data = at_random()
    draws = draw(data.groups, 30, seed=0)
    whole = bootstrap([data], draws)
    monkeypatch.setattr(metrics, "_CHUNK", draws.shape[1] * 7)
    parts = bootstrap([data], draws)
    for name, values in whole.resampled.items():
        np.testing.assert_allclose(parts.resampled[name], values)


def test_differences_are_paired():
    right = [index % 3 for index in range(60)]
    draws = draw([str(index) for index in range(60)], 500, seed=0)
    # Each is wrong on half of the films; the second one also on one film more.
    first = [k if index < 30 else (k + 1) % 3 for index, k in enumerate(right)]
    second = [(first[0] + 1) % 3, *first[1:]]
    a, b = (bootstrap([scored(right, predicted)], draws) for predicted in (first, second))
    [difference] = [metric for metric in a.minus(b).metrics() if metric.name == "accuracy"]
    assert difference.value == pytest.approx(1 / 60)
    assert (difference.low, difference.high) == (0, pytest.approx(3 / 60))  # unpaired it would reach beyond 0.1
    assert all(metric.low == metric.high == 0 for metric in a.minus(a).metrics())


def test_a_figure_is_left_out_where_it_is_not_defined():
    constant = bootstrap([scored([0, 1, 2], [0, 1, 2], measured=[0, 1, 2], t_score=[1, 1, 1])], np.ones((1, 3)))
    assert "T-score Pearson r" not in constant.point
    varied = bootstrap([scored([0, 1, 2], [0, 1, 2], measured=[0, 1, 2], t_score=[1, 1, 2])], np.ones((1, 3)))
    assert "T-score Pearson r" not in varied.minus(constant).point
    assert "T-score Pearson r" in varied.point


def test_figures_of_some_films():
    data = at_random()
    chosen = data.truth != 1
    part = data.among(chosen)
    assert len(part.groups) == chosen.sum()
    assert figures(part)["accuracy"] == pytest.approx((data.probabilities.argmax(1) == data.truth)[chosen].mean())
