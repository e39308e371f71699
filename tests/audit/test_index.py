import numpy as np
from support.audit import Picture, facts, film, resized, turned

from osteolens.audit.index import Candidate, mirrored, shortlist, unit
from osteolens.audit.pictures import Seen, extract


def picture(pixels: Picture) -> Seen:
    return Seen(facts(), np.zeros((64, 64), np.uint8), pixels, *extract(pixels, 150))


def candidates(*pictures: Picture, least: int = 5) -> dict[tuple[int, int, bool], int]:
    pairs = shortlist([picture(pixels) for pixels in pictures], least)
    assert pairs == sorted(pairs, key=lambda pair: -pair.votes)
    return {(pair.first, pair.second, pair.mirrored): pair.votes for pair in pairs}


def test_descriptors_are_mirrored_as_the_picture_is() -> None:
    pixels = film(1)
    there, back = extract(pixels, 100), extract(np.ascontiguousarray(pixels[:, ::-1]), 100)
    cosine = mirrored(unit(there[1])) @ unit(back[1]).T
    best = cosine.argmax(axis=1)
    right = np.abs(back[0][best, 0] - (pixels.shape[1] - 1 - there[0][:, 0])) < 1.5
    assert right.mean() > 0.8
    assert np.median(cosine.max(axis=1)[right]) > 0.99


def test_unit_descriptors_have_length_one() -> None:
    descriptors = extract(film(1), 20)[1]
    np.testing.assert_allclose(np.linalg.norm(unit(descriptors), axis=1), 1, rtol=1e-5)
    assert not unit(np.zeros((1, 128), np.uint8)).any()


def test_parts_turned_scaled_and_mirrored_are_found_among_others() -> None:
    source = film(1)
    part = source[60:200, 40:180]
    derived = [part, turned(source, 20), resized(part, 100, 100), np.ascontiguousarray(part[:, ::-1])]
    pairs = candidates(source, *(film(seed) for seed in range(2, 12)), *derived)
    assert {(0, 11, False), (0, 12, False), (0, 13, False), (0, 14, True)} <= set(pairs)
    assert not {pair for pair in pairs if 1 <= pair[0] <= 10 or 1 <= pair[1] <= 10}


def test_the_votes_of_a_copy_are_nearly_all_its_features() -> None:
    pixels = film(1)
    assert candidates(pixels, pixels, film(2))[0, 1, False] > 120


def test_pictures_without_features() -> None:
    blank = np.full((100, 100), 7, np.uint8)
    assert shortlist([picture(blank), picture(blank)], 1) == []
    assert shortlist([picture(blank), picture(film(1))], 1) == []


def test_the_same_pictures_give_the_same_candidates() -> None:
    pictures = [picture(film(seed)) for seed in (1, 2)] + [picture(film(1)[20:, 10:])]
    first, second = shortlist(pictures, 3), shortlist(pictures, 3)
    assert first == second
    assert isinstance(first[0], Candidate)
