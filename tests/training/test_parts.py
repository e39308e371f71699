"""The sentence on what a run will have."""

import numpy as np
from support.films import film

from osteolens.training.outcome import parts_of_fit, parts_of_folds

LABELS = ("normal", "osteopenia")


def films(count: int, **facts: float | str):
    both = ("female", "male")
    return [
        film(LABELS[number // 2 % 2], f"p{number}", **({"sex": both[number % 2]} if facts else {}) | facts)
        for number in range(count)
    ]


def sentence(data, t_score_weight: float = 1.0) -> str:
    fold = np.arange(len(data))[None] // 4 % 5
    return parts_of_folds(data, LABELS, fold, t_score_weight)


def test_everything_is_there():
    data = films(40, age=50.0, weight_kg=70.0, height_m=1.7, t_score=-1.0)
    assert sentence(data) == (
        "Parts: T-score (40 of 40 films); fusion by age and sex (40 films); "
        "fusion by age, sex, weight and height (40 films)."
    )
    assert sentence(data, 0.0).startswith("Parts: no T-score (optimisation.t_score_weight is 0); fusion by age")


def test_nothing_is_there():
    assert sentence(films(40)) == (
        "Parts: no T-score (no film has one); "
        "no fusion by age and sex (known are age of 0, sex of 0 films, all together of 0; 30 are needed); no fusion by "
        "age, sex, weight and height (known are age of 0, sex of 0, weight of 0, height of 0 films, all together of 0; "
        "30 are needed)."
    )


def test_one_sex_is_no_sex_to_learn_from():
    assert "no fusion by age and sex (in some fold the films with these are of one sex or one label)" in sentence(
        films(40, age=50.0, sex="female")
    )


def test_a_single_run_fits_no_fusion():
    text = parts_of_fit(films(3, t_score=-1.0) + films(1), films(40, age=50.0), LABELS, 1.0)
    assert text.startswith(
        "Parts: T-score (3 of 4 films); on the validation films, fusion by age and sex (40 films); no fusion by age, "
        "sex, weight and height (known are age of 40, sex of 40, weight of 0, height of 0 films"
    )
    assert "no fusion by age and sex (known are age of 0" in parts_of_fit(films(4), [], LABELS, 1.0)
