import numpy as np
import pytest
from support.films import film

from osteolens.evaluation.baselines import age_and_sex, age_sex_weight_and_height, file_format, majority
from osteolens.labels import LABELS

FITTED = [
    film(label, age=float(age), sex=sex, t_score=-age / 20)
    for label, start in zip(LABELS, (20, 45, 70), strict=True)
    for age in range(start, start + 10)
    for sex in ("female", "male")
]


def test_majority_gives_the_shares_and_the_mean():
    fitted = [film("normal", t_score=-1.0), film("normal"), film("normal", t_score=-2.0), film("osteoporosis")]
    probabilities, t_scores = majority(fitted, [film(), film()], LABELS)
    assert probabilities.tolist() == [[0.75, 0.0, 0.25]] * 2
    assert t_scores.tolist() == [-1.5, -1.5]


def test_majority_without_t_scores_gives_none():
    assert np.isnan(majority([film()], [film()], LABELS)[1]).all()


def test_age_tells_the_classes_and_the_t_score():
    predicted = age_and_sex(FITTED, [film(age=25.0, sex="male"), film(age=75.0, sex="female")], LABELS)
    assert predicted is not None
    probabilities, t_scores = predicted
    assert probabilities.argmax(axis=1).tolist() == [0, 2]
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert t_scores == pytest.approx([-1.25, -3.75], abs=0.03)  # the ridge pulls a little


def test_a_missing_age_is_the_median_and_an_unseen_sex_is_allowed():
    predicted = age_and_sex(FITTED, [film(sex="male"), film(age=49.5, sex="male"), film(age=49.5, sex="other")], LABELS)
    assert predicted is not None
    assert predicted[1][0] == pytest.approx(predicted[1][1])
    assert np.isfinite(predicted[0]).all()


def test_films_without_t_scores_are_left_out_of_the_line_only():
    predicted = age_and_sex([*FITTED, film("normal", age=22.0, sex="male")], [film(age=60.0, sex="male")], LABELS)
    assert predicted is not None
    assert predicted[1] == pytest.approx([-3.0], abs=0.03)


@pytest.mark.parametrize("values", [{}, {"age": 50.0}, {"sex": "male"}])
def test_without_both_columns_there_is_no_baseline(values):
    assert age_and_sex([film(**values)] * 3, [film()], LABELS) is None


def test_probabilities_are_those_of_the_films():
    fitted = [film("normal", age=50.0, sex="male")] * 90 + [film("osteopenia", age=50.0, sex="male")] * 10
    labels, scored = LABELS[:2], [film(age=50.0, sex="male")]
    assert age_and_sex(fitted, scored, labels)[0] == pytest.approx(np.array([[0.9, 0.1]]), abs=1e-3)


def test_the_format_answers_by_family():
    fitted = [film("normal", family="a", t_score=0.0)] * 20 + [film("osteoporosis", family="b", t_score=-3.0)] * 20
    probabilities, t_scores = file_format(fitted, [film(family="a"), film(family="b"), film(family="new")], LABELS)
    assert probabilities[:2].argmax(axis=1).tolist() == [0, 2]
    assert probabilities[:, 1].tolist() == [0, 0, 0]  # never seen in fitting
    assert t_scores == pytest.approx([0, -3, -1.5], abs=0.1)


@pytest.mark.parametrize("families", [("", ""), ("a", "a")])
def test_without_two_families_there_is_no_format_baseline(families):
    assert file_format([film(family=family) for family in families], [film()], LABELS) is None


def test_weight_and_height_are_used_with_age_and_sex():
    random = np.random.default_rng(0)
    fitted = []
    for label, weight in (("normal", 90.0), ("osteoporosis", 50.0)) * 30:
        height, age = random.uniform(1.5, 1.8), random.uniform(40, 60)
        fitted.append(film(label, age=age, sex="female", weight_kg=weight, height_m=height, t_score=weight / 20))
    scored = [film(age=50.0, sex="female", weight_kg=weight, height_m=1.65) for weight in (90.0, 50.0)]
    probabilities, t_scores = age_sex_weight_and_height(fitted, scored, LABELS)
    assert probabilities.argmax(axis=1).tolist() == [0, 2]
    assert t_scores == pytest.approx([4.5, 2.5], abs=0.05)
    no_height = [film("normal", age=50.0, sex="male", weight_kg=70.0)] * 3
    assert age_sex_weight_and_height(no_height, scored, LABELS) is None
