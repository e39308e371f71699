"""Which heat maps count, and which hold, by maps drawn by hand."""

import numpy as np

from osteolens.card import Quantisation
from osteolens.evaluation.int8.guard import held, judge_maps
from osteolens.evaluation.int8.ranges import Answers


def hill(row: float, column: float, peak: float = 1.0) -> np.ndarray:
    """A map of 7 x 7 cells that is brightest at one place: float64 [1, 7, 7]."""
    rows, columns = np.mgrid[0:7, 0:7]
    values: np.ndarray = peak * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 6)
    return values[None]


TRUTH = np.zeros(4, np.int64)


def test_the_same_maps_hold_and_moved_ones_do_not() -> None:
    exact = np.stack([hill(3, 3)] * 4)
    int8 = np.stack([hill(3, 3, 0.98), hill(3.1, 3), hill(3, 5), hill(3, 4)])
    # The last one's brightest cell moves by one cell only, but a shift by a cell is too much for the bright part.
    assert held(exact, int8, TRUTH).tolist() == [True, True, False, False]


def test_two_peaks_that_change_places_do_not_hold() -> None:
    exact = np.stack([hill(1, 1) + hill(5, 5, 0.99)] * 4)
    turned = np.stack([hill(1, 1, 0.99) + hill(5, 5)] * 4)
    assert not held(exact, turned, TRUTH).any()


def test_maps_far_below_the_usual_peak_do_not_count() -> None:
    exact = np.stack([hill(3, 3), hill(3, 3), hill(3, 3), hill(3, 3, 0.09)])
    int8 = np.stack([hill(3, 3)] * 3 + [hill(0, 6, 0.09)])
    assert held(exact, int8, TRUTH).tolist() == [True] * 3
    strong = np.stack([hill(3, 3)] * 3 + [hill(3, 3, 0.11)])
    assert held(strong, int8, TRUTH).tolist() == [True] * 3 + [False]


def test_empty_maps_do_not_count() -> None:
    assert held(np.zeros((4, 1, 7, 7)), np.stack([hill(3, 3)] * 4), TRUTH).size == 0


def test_int8_is_refused_where_more_than_one_map_in_twenty_moves() -> None:
    quantisation = Quantisation(
        accepted=True, protocol="", films=40, auroc={}, auroc_fp32={}, label_disagreement=0,
        uncalibrated_label_disagreement=0, triage_disagreement=0, largest_difference=0, mean_difference=0,
        largest_uncalibrated_difference=0, map_cosine=1,
    )  # fmt: skip

    def judged(moved: int) -> Quantisation:
        exact = np.stack([hill(3, 3)] * 40)
        int8 = np.stack([hill(0, 6)] * moved + [hill(3, 3)] * (40 - moved))
        answers = [Answers(np.zeros((40, 1)), np.zeros(40), maps) for maps in (exact, int8)]
        return judge_maps(quantisation, np.zeros(40, np.int64), answers[0], answers[1])

    two, three = judged(2), judged(3)
    assert (two.accepted, two.maps, two.maps_held) == (True, 40, 0.95)
    assert (three.accepted, three.maps_held) == (False, 0.925)
    assert three.reasons == ("7.5% of the heat maps are bright in other places",)
