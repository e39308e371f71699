import numpy as np
import pytest
from support.audit import Picture, facts, film, resized

from osteolens.audit.copies import pose_transform, whole_copies
from osteolens.audit.pictures import Seen
from osteolens.datasets.fingerprints import POSES, THUMB, pose_pixels


def picture(pixels: Picture) -> Seen:
    empty = np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8)
    return Seen(facts(), resized(pixels, THUMB, THUMB), pixels, *empty)


def test_a_quarter_puts_the_upper_right_corner_upper_left() -> None:
    # numpy turns anticlockwise: of 4 columns and 2 rows, (column 3, row 0) becomes (0, 0) of 2 columns and 4 rows.
    transform = pose_transform((False, 1), (2, 4), (4, 2))
    np.testing.assert_allclose(transform @ [3, 0, 1], [0, 0], atol=1e-9)
    np.testing.assert_allclose(transform @ [0, 1, 1], [1, 3], atol=1e-9)


def test_a_mirror_image_of_half_the_size() -> None:
    # The centre of the left two of 4 columns, at 0.5, becomes the right one of 2.
    np.testing.assert_allclose(pose_transform((True, 0), (4, 4), (2, 2)) @ [0.5, 0.5, 1], [1, 0], atol=1e-9)


@pytest.mark.parametrize("pose", POSES)
def test_pixels_and_transform_agree(pose: tuple[bool, int]) -> None:
    pixels = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    posed, transform = pose_pixels(pixels, pose)[0], pose_transform(pose, (3, 3), (3, 3))
    for row in range(3):
        for column in range(3):
            x, y = np.rint(transform @ [column, row, 1]).astype(int)
            assert posed[y, x] == pixels[0, row, column]


@pytest.mark.parametrize("pose", POSES)
def test_a_copy_is_found_in_each_pose_and_once(pose: tuple[bool, int]) -> None:
    pixels = film(1)
    copy = np.ascontiguousarray(np.rot90(pixels[:, ::-1] if pose[0] else pixels, pose[1]))
    small = resized(copy, 90, 110)
    ((first, second, transform),) = whole_copies([picture(film(2)), picture(pixels), picture(film(3)), picture(small)])
    assert (first, second) == (1, 3)
    np.testing.assert_allclose(transform, pose_transform(pose, (240, 200), (110, 90)))


def test_different_films_are_no_copies() -> None:
    assert list(whole_copies([picture(film(seed)) for seed in range(30)])) == []
