import numpy as np
import pytest

from osteolens.labels import LABELS
from osteolens.training.baselines import age_and_sex, majority

from .helpers import film

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
    found = age_and_sex(FITTED, [film(age=25.0, sex="male"), film(age=75.0, sex="female")], LABELS)
    assert found is not None
    probabilities, t_scores = found
    assert probabilities.argmax(axis=1).tolist() == [0, 2]
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert t_scores == pytest.approx([-1.25, -3.75])


def test_a_missing_age_is_the_median_and_an_unseen_sex_is_allowed():
    found = age_and_sex(FITTED, [film(sex="male"), film(age=49.5, sex="male"), film(age=49.5, sex="other")], LABELS)
    assert found is not None
    assert found[1][0] == pytest.approx(found[1][1])
    assert np.isfinite(found[0]).all()


def test_films_without_t_scores_are_left_out_of_the_line_only():
    found = age_and_sex([*FITTED, film("normal", age=22.0, sex="male")], [film(age=60.0, sex="male")], LABELS)
    assert found is not None
    assert found[1] == pytest.approx([-3.0])


@pytest.mark.parametrize("values", [{}, {"age": 50.0}, {"sex": "male"}])
def test_without_both_columns_there_is_no_baseline(values):
    assert age_and_sex([film(**values)] * 3, [film()], LABELS) is None
