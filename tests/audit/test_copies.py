import io

import numpy as np
import pytest
from rich.console import Console
from support.audit import Picture, facts, film, resized, turned

from osteolens.audit.copies import Match, find_copies, origins
from osteolens.audit.pictures import Seen, _shrunk, extract
from osteolens.datasets.fingerprints import THUMB

QUIET = Console(file=io.StringIO())


def pictures(*pixels: Picture) -> dict[int, Seen]:
    """Pictures of files of their own, numbered from 10."""
    seen = {}
    for number, array in enumerate(pixels, 10):
        array = np.ascontiguousarray(array)
        small = _shrunk(array)
        fact = facts(
            width=array.shape[1], height=array.shape[0], file_sha256=str(number), pixel_sha256=str(array.tobytes())
        )
        seen[number] = Seen(fact, resized(array, THUMB, THUMB), small, *extract(small, 150))
    return seen


def only(*pixels: Picture) -> Match:
    (match,) = find_copies(pictures(*pixels), QUIET)
    return match


def test_a_crop_and_its_outline() -> None:
    source = film(1, 600, 400)
    crop = source[150:450, 100:300]
    match = only(crop, film(2, 600, 400), source)
    assert (match.first, match.second, match.kind, match.mirrored) == (12, 10, "cut", False)
    expected = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]
    np.testing.assert_allclose(match.outline, expected, atol=0.01)
    assert match.scale == pytest.approx(1, abs=0.02)
    assert match.describe() == "a part"


def test_a_mirrored_resized_turned_crop_is_described() -> None:
    source = film(1, 600, 400)
    crop = resized(turned(source[:, ::-1], 10)[120:480, 80:320], 360, 540)
    match = only(source, crop)
    assert (match.first, match.second, match.kind, match.mirrored) == (10, 11, "cut", True)
    assert match.turned == pytest.approx(10, abs=1)
    assert match.scale == pytest.approx(1.5, abs=0.03)
    assert match.describe() == "a part, mirrored, turned by 10 degrees, at 1.50 times the size"


def test_whole_copies_in_other_poses_and_sizes() -> None:
    source = film(1)
    assert only(source, np.rot90(source)).turned == pytest.approx(-90, abs=1)
    squeezed = only(source, resized(source, 64, 128))
    assert (squeezed.kind, squeezed.mirrored) == ("copy", False)
    assert only(source, source[:, ::-1]).mirrored


def test_two_parts_of_one_picture_overlap() -> None:
    source = film(1)
    match = only(source[:170], source[70:])
    assert match.kind == "overlap"
    assert match.describe() == "another part of the same picture"


def test_identical_files_and_pixels_are_paired_with_the_first() -> None:
    seen = pictures(film(1), film(2), film(1), film(1))
    twin = seen[12].facts
    seen[13] = Seen(twin, seen[13].thumb, seen[13].small, seen[13].points, seen[13].descriptors)
    matches = find_copies(seen, QUIET)
    assert [(match.first, match.second, match.kind) for match in matches] == [
        (12, 13, "same file"),
        (10, 12, "same pixels"),
    ]


def test_different_films_alone_have_nothing_in_common() -> None:
    assert find_copies(pictures(*(film(seed) for seed in range(24))), QUIET) == []


def test_both_halves_of_a_film_have_its_origin() -> None:
    source = film(1, 300, 400)
    left, right = source[:, :190], source[:, 210:]
    numbers = origins(14, find_copies(pictures(left, film(2), source, right), QUIET))
    assert numbers[10] == numbers[12] == numbers[13]
    assert len(set(numbers.tolist())) == 12  # ten without a picture, the film, and the other one


def test_origins_follow_chains() -> None:
    assert len(set(origins(4, []).tolist())) == 4
    numbers = origins(5, [Match(0, 3, "copy"), Match(3, 1, "cut")])
    assert numbers[0] == numbers[1] == numbers[3]
    assert len({numbers[0], numbers[2], numbers[4]}) == 3
