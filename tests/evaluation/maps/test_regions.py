from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from osteolens.evaluation.maps.regions import enlarged, find_regions, height_of_mass, joint_band, share_of_mass
from osteolens.films.joints import Finder, Joint
from osteolens.films.prepare import Geometry, Prepared


def whole(side: int = 100, *, top: int = 0, height: int | None = None) -> Geometry:
    """An input of `side` x `side` whose rows from `top` on are film."""
    height = height or side
    return Geometry((height, side), (0, 0, height, side), (height, side), (top, 0), (side, side))


def leg(side: int = 100) -> NDArray[np.uint8]:
    """A dark film with a leg in the columns 30 to 69 and a bright letter in its upper left corner."""
    picture = np.full((side, side), 10, np.uint8)
    picture[:, 30:70] = 120
    picture[5:11, 5:11] = 250
    return picture


def test_body_and_marker_are_found_where_they_were_drawn() -> None:
    regions = find_regions(Prepared(leg()[None], whole()))
    drawn = np.zeros((100, 100), bool)
    drawn[:, 30:70] = True
    # The blur moves the outline by a pixel at most.
    assert (~regions.outside != drawn).sum() <= 2 * 100
    letter = np.zeros((100, 100), bool)
    letter[5:11, 5:11] = True
    np.testing.assert_array_equal(regions.markers, letter)


def test_a_letter_over_the_leg_belongs_to_the_body() -> None:
    picture = leg()
    picture[50:59, 45:54] = 250
    regions = find_regions(Prepared(picture[None], whole()))
    assert regions.markers[5:11, 5:11].all()
    assert not regions.markers[50:59, 45:54].any()
    assert not regions.outside[50:59, 45:54].any()


def test_a_thin_bright_edge_is_not_body() -> None:
    picture = leg()
    picture[97:99] = 200
    regions = find_regions(Prepared(picture[None], whole()))
    assert regions.outside[97:99, :25].all()
    assert not regions.outside[:90, 35:65].any()


def test_padding_is_outside_and_the_middle_third_is_that_of_the_film() -> None:
    picture = np.full((100, 100), 120, np.uint8)
    picture[:20] = picture[80:] = 0
    regions = find_regions(Prepared(picture[None], whole(top=20, height=60)))
    assert regions.outside[:20].all()
    assert regions.outside[80:].all()
    assert regions.outside[20:80].mean() < 0.01  # the disc leaves out the film's corners
    assert np.flatnonzero(regions.middle.all(axis=1)).tolist() == list(range(40, 60))


def test_a_film_without_air_is_all_body() -> None:
    noisy = np.random.default_rng(0).normal(120, 20, (100, 100)).clip(60, 255).astype(np.uint8)
    regions = find_regions(Prepared(noisy[None], whole()))
    assert regions.outside.mean() < 0.01
    assert not regions.markers.any()


def test_share_of_mass_is_what_lies_under_the_mask() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[0] = 6  # 24 of 32
    heat[3] = 2  # 8 of 32
    mask = np.zeros((4, 4), bool)
    mask[2:] = True
    assert share_of_mass(heat, mask) == pytest.approx(0.25)


def test_a_uniform_map_has_the_share_of_the_area() -> None:
    regions = find_regions(Prepared(leg()[None], whole()))
    heat = enlarged(np.ones((7, 7), np.float32), (100, 100))
    assert share_of_mass(heat, regions.outside) == pytest.approx(regions.outside.mean())


def test_height_is_counted_from_the_upper_edge_of_the_film() -> None:
    heat = np.zeros((100, 100), np.float32)
    heat[34:36] = 1  # its middle, row 35, is a quarter of the way from row 20 to row 80
    assert height_of_mass(heat, whole(top=20, height=60)) == pytest.approx(0.25)


class FinderOf(Finder):
    """Gives the same joints of every film, which has to be upright: wider than high."""

    def __init__(self, *joints: Joint) -> None:
        self.path, self.joints = Path(), joints

    def find(self, pixels: NDArray[np.uint8]) -> tuple[Joint, ...]:
        assert pixels.shape == (200, 400)
        return self.joints


@pytest.mark.parametrize(("mirrored", "turn"), [(False, 0), (True, 0), (False, 90), (True, 270)])
def test_the_joint_band_is_where_the_joint_comes_to_lie_in_the_input(mirrored: bool, turn: int) -> None:
    """A film of 200 x 400 pixels at half the size, padded by 10 rows; a plateau 80 wide at (100, 100)."""
    lying = (400, 200) if turn else (200, 400)
    geometry = Geometry(lying, (0, 0, 200, 400), (100, 200), (10, 0), (120, 200), mirrored=mirrored, turn=turn)
    finder = FinderOf(Joint(x=100, y=100, width=80, turn=0, left=1, score=1))
    mask = joint_band(np.zeros(lying, np.uint8), geometry, finder)
    expected = np.zeros((120, 200), bool)
    expected[50:70, slice(130, 170) if mirrored else slice(30, 70)] = True
    np.testing.assert_array_equal(mask, expected)


def test_only_what_is_left_of_a_band_after_cropping_counts() -> None:
    geometry = Geometry((200, 400), (90, 80, 100, 200), (100, 200), (0, 0), (100, 200))
    joints = [Joint(x=x, y=100, width=80, turn=0, left=1, score=1) for x in (100, 350)]
    mask = joint_band(np.zeros((200, 400), np.uint8), geometry, FinderOf(*joints))
    # The first reaches from column 60 to 140 and from row 80 to 120 of the film, the second begins at column 310.
    expected = np.zeros((100, 200), bool)
    expected[:30, :60] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_film_without_a_joint_has_no_band() -> None:
    geometry = Geometry((200, 400), (0, 0, 200, 400), (100, 200), (0, 0), (100, 200))
    assert not joint_band(np.zeros((200, 400), np.uint8), geometry, FinderOf()).any()
    assert not find_regions(Prepared(leg()[None], whole())).joint.any()
