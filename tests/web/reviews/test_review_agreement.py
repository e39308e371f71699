"""Figures against numbers worked out by hand."""

import math

import numpy as np
import pytest
from reviews.agreement import Figure, agreement, agreement_of_all, draw, map_scores, mean

from osteolens.agreement import cohen_kappa, fleiss_kappa


def test_cohen_s_kappa_by_hand() -> None:
    # 50 films: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no. Observed 0.7; by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    table = np.array([[20.0, 5.0], [10.0, 15.0]])
    assert cohen_kappa(table) == pytest.approx(0.4)
    opposite = np.array([[0.0, 5.0], [5.0, 0.0]])
    assert cohen_kappa(np.stack([table, opposite, np.diag([3.0, 4.0])])) == pytest.approx([0.4, -1.0, 1.0])


def test_cohen_s_kappa_is_not_defined_where_all_is_one_label() -> None:
    assert np.isnan(cohen_kappa(np.array([[[7.0, 0.0], [0.0, 0.0]], np.zeros((2, 2))]))).all()


def test_fleiss_kappa_of_the_example_of_1971() -> None:
    """The table of ten subjects, fourteen raters and five categories that is worked through in many textbooks."""
    counts = np.array(
        [
            [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
        ],
        float,
    )  # fmt: skip
    assert fleiss_kappa(counts, np.ones((1, 10))) == pytest.approx([0.210], abs=5e-4)


def test_fleiss_kappa_with_different_numbers_of_raters_by_hand() -> None:
    # Films: aa, ab, aab, and one with a single rater, who says nothing about agreement.
    counts = np.array([[2, 0], [1, 1], [2, 1], [0, 1]], float)
    observed = (1 + 0 + 2 / 6) / 3
    share = (1 + 1 / 2 + 2 / 3) / 3
    chance = share**2 + (1 - share) ** 2
    assert fleiss_kappa(counts, np.ones((1, 4))) == pytest.approx([(observed - chance) / (1 - chance)])


def test_a_weight_of_two_is_the_film_twice() -> None:
    counts = np.array([[3, 0], [1, 2], [0, 3]], float)
    twice = fleiss_kappa(np.vstack([counts, counts[:1]]), np.ones((1, 4)))
    assert fleiss_kappa(counts, np.array([[2.0, 1.0, 1.0]])) == pytest.approx(twice)


def test_fleiss_kappa_is_not_defined_without_two_raters_or_two_labels() -> None:
    assert np.isnan(fleiss_kappa(np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones((1, 2)))).all()
    assert np.isnan(fleiss_kappa(np.array([[2.0, 0.0], [3.0, 0.0]]), np.ones((1, 2)))).all()


def test_agreement_counts_only_films_of_both_and_has_an_interval_from_ten_films_up() -> None:
    first = np.array([0, 0, 1, 1, -1, 0])
    second = np.array([0, 1, 1, 1, 1, -1])
    figures = agreement(first, second, 2, draw(6))
    # Four films, three of them the same; by chance (2 * 1 + 2 * 3) / 16 = 0.5.
    assert figures.same == Figure(0.75, None, None, 4)
    assert figures.kappa == Figure(0.5, None, None, 4)
    many = agreement(np.tile(first, 10), np.tile(second, 10), 2, draw(60))
    assert (many.kappa.value, many.kappa.n) == (pytest.approx(0.5), 40)
    low, high = many.kappa.low, many.kappa.high
    assert low is not None
    assert high is not None
    # The standard error of kappa for 40 films, sqrt(p (1 - p) / (n (1 - p_e)^2)), is 0.137.
    assert (low, high) == (pytest.approx(0.5 - 1.96 * 0.137, abs=0.06), pytest.approx(0.5 + 1.96 * 0.137, abs=0.06))


def test_nobody_and_nothing_give_no_figure() -> None:
    nothing = Figure(None, None, None, 0)
    assert agreement_of_all([], 2, draw(0)) == nothing
    assert agreement_of_all([np.array([0, 1])], 2, draw(2)) == nothing
    assert agreement(np.array([-1]), np.array([0]), 1, draw(1)).kappa == nothing
    assert mean(np.array([np.nan]), draw(1)) == nothing


def test_all_reviewers_by_hand() -> None:
    # Three films: 0 0 0, 0 1 1, 1 1 -: the agreeing pairs are 1, 1/3 and 1, the shares of the label 0 are 1, 1/3, 0.
    figures = agreement_of_all([np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0, 1, -1])], 2, draw(3))
    share = (1 + 1 / 3) / 3
    chance = share**2 + (1 - share) ** 2
    assert figures.value == pytest.approx((7 / 9 - chance) / (1 - chance))
    assert figures.n == 3


def test_the_mean_leaves_out_what_is_not_known() -> None:
    values = np.array([0.0, 1.0, np.nan, 1.0] * 5)
    figure = mean(values, draw(20))
    assert (figure.value, figure.n) == (pytest.approx(2 / 3), 15)
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < 2 / 3 < figure.high


def test_a_figure_that_resamples_often_do_not_have_gets_no_interval() -> None:
    # One film in twelve has the other label: a third of the resamples miss it, and kappa is not defined there.
    first = np.array([0] * 11 + [1])
    figures = agreement(first, first, 2, draw(12))
    assert figures.kappa == Figure(1.0, None, None, 12)


def test_map_scores_by_hand() -> None:
    levels = np.array([[255, 128, 0, 0], [127, 0, 0, 0]], np.uint8)
    region = np.zeros((4, 8), np.bool_)
    region[:2, :4] = True  # the map's first row, its first two columns
    scores = map_scores(levels, region)
    assert scores.area == 0.25
    assert scores.pointing == 1.0
    assert scores.mass == pytest.approx((255 + 128) / 510)
    assert scores.iou == 1.0  # 255 and 128 are at least half of the maximum, 127 is not
    elsewhere = map_scores(levels, ~region)
    assert (elsewhere.pointing, elsewhere.iou) == (0.0, 0.0)
    assert elsewhere.mass == pytest.approx(127 / 510)


def test_map_scores_of_partly_covered_pixels_and_several_maxima() -> None:
    levels = np.array([[200, 200]], np.uint8)
    region = np.array([[True, True, True, False]])  # all of the left pixel, half of the right one
    scores = map_scores(levels, region)
    assert scores.mass == pytest.approx(0.75)
    assert scores.pointing == 1.0
    assert map_scores(levels, np.array([[True, False, False, False]])).pointing == 0.5


def test_an_empty_map_has_no_scores() -> None:
    scores = map_scores(np.zeros((2, 2), np.uint8), np.eye(4, dtype=bool))
    assert (scores.pointing, scores.mass, scores.iou, scores.area) == (None, None, None, 0.25)


def test_a_map_that_knows_nothing_has_the_region_s_share_of_the_film() -> None:
    region = np.random.default_rng(1).random((300, 200)) < 0.2
    scores = map_scores(np.full((150, 100), 9, np.uint8), region)
    assert scores.mass == pytest.approx(scores.area)
    assert not math.isnan(scores.area)
