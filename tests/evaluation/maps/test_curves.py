import numpy as np
import pytest
from numpy.typing import NDArray

from osteolens.evaluation.maps.curves import KINDS, ORDERS, PASSES, SHARES, areas, curves, rankings

SQUARE = slice(8, 16), slice(24, 32)
"""Cell (1, 3) of a 5 x 5 grid over 40 x 40 pixels."""


def film() -> NDArray[np.uint8]:
    picture = np.zeros((1, 40, 40), np.uint8)
    picture[0][SQUARE] = 250
    return picture


def heat() -> NDArray[np.float32]:
    cells = np.zeros((5, 5), np.float32)
    cells[1, 3] = 1
    return cells


def brightness(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A model of two classes whose evidence for the second is how bright the square is."""
    shares = pictures[:, 0, SQUARE[0], SQUARE[1]].mean(axis=(1, 2)) / 250
    return np.stack([1 - shares, shares], axis=1)


def test_a_right_map_of_a_known_square_gives_the_areas_worked_out_by_hand() -> None:
    batches = []

    def answer(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        batches.append(len(pictures))
        return brightness(pictures)

    values = curves(answer, film(), heat(), target=1, seed=0)
    assert batches == [PASSES]
    assert values.shape == (2, 3, len(SHARES))
    end = values[0, 0, -1]  # the square after the blur
    assert 0 < end < 0.9
    # The hottest tenth, 160 pixels, covers the 64 of the square: one step takes it away, or brings it back.
    np.testing.assert_allclose(values[0, 0], [1] + [end] * 10)
    np.testing.assert_allclose(values[1, 0], [end] + [1] * 10)
    deletion, insertion = areas(values)
    assert deletion[0] == pytest.approx((0.5 * 1 + 9.5 * end) / 10)
    assert insertion[0] == pytest.approx((0.5 * end + 9.5 * 1) / 10)
    for order in (1, 2):
        assert deletion[0] < deletion[order]
        assert insertion[0] > insertion[order]


def test_a_map_that_points_away_is_worse_than_the_centre() -> None:
    wrong = np.zeros((5, 5), np.float32)
    wrong[4, 0] = 1
    deletion, insertion = areas(curves(brightness, film(), wrong, target=1, seed=0))
    assert deletion[0] > deletion[ORDERS.index("centre")]
    assert insertion[0] < insertion[ORDERS.index("centre")]


def test_the_ends_are_the_film_and_its_blurred_copy_in_every_order() -> None:
    values = curves(brightness, film(), heat(), target=1, seed=0)
    np.testing.assert_allclose(values[KINDS.index("deletion"), :, 0], 1)
    np.testing.assert_allclose(values[KINDS.index("insertion"), :, -1], 1)
    np.testing.assert_allclose(values[0, :, -1], values[1, :, 0])


def test_rankings_are_orders_of_all_pixels() -> None:
    ranks = rankings(heat(), (40, 40), seed=3)
    for rank in ranks:
        assert sorted(rank.ravel().tolist()) == list(range(1600))
    by_map, random, centre = ranks
    assert by_map[SQUARE].max() < 160
    assert centre[19:21, 19:21].max() < 4
    assert not np.array_equal(by_map, random)
    assert np.array_equal(random, rankings(heat(), (40, 40), seed=3)[1])
    assert not np.array_equal(random, rankings(heat(), (40, 40), seed=4)[1])


def test_where_the_map_is_flat_chance_decides() -> None:
    ranks = rankings(np.zeros((5, 5), np.float32), (40, 40), seed=0)
    np.testing.assert_array_equal(ranks[0], ranks[1])
