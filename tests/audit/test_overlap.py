import cv2
import numpy as np
import pytest
from support.audit import Picture, facts, film, turned

from osteolens.audit.overlap import lay, similarity
from osteolens.audit.pictures import Seen, extract

SAME_PLACE = np.array([[1.0, 0, 0], [0, 1, 0]])


def picture(pixels: Picture) -> Seen:
    pixels = np.ascontiguousarray(pixels)
    return Seen(facts(), np.zeros((64, 64), np.uint8), pixels, *extract(pixels, 150))


def test_a_crop_is_laid_where_it_was_cut() -> None:
    source = film(1)
    overlap = lay(picture(source[70:200, 45:165]), picture(source), mirror=False)
    assert overlap
    np.testing.assert_allclose(overlap.transform, [[1, 0, 45], [0, 1, 70]], atol=0.5)
    assert overlap.similarity > 0.98
    assert overlap.inliers > 20


def test_a_mirrored_and_turned_crop_is_laid_only_as_a_mirror_image() -> None:
    source = film(1)
    crop = picture(turned(source[:, ::-1], 10)[50:200, 40:170])
    overlap = lay(crop, picture(source), mirror=True)
    assert overlap
    assert np.linalg.det(overlap.transform[:, :2]) == pytest.approx(-1, abs=0.03)
    assert overlap.similarity > 0.9
    plain = lay(crop, picture(source), mirror=False)
    assert plain is None or plain.similarity < 0.5


def test_different_films_do_not_fit() -> None:
    for seed in range(2, 8):
        overlap = lay(picture(film(1)), picture(film(seed)), mirror=False)
        assert overlap is None or overlap.similarity < 0.6


def test_pictures_without_features_do_not_fit() -> None:
    assert lay(picture(np.full((99, 99), 7, np.uint8)), picture(film(1)), mirror=False) is None


def test_window_and_gamma_do_little_harm_but_noise_of_its_own_does() -> None:
    source = film(1)
    darker = (255 * (source / 255.0) ** 1.6).astype(np.uint8)
    assert similarity(source, darker, SAME_PLACE) > 0.9
    assert similarity(source, 255 - source, SAME_PLACE) == pytest.approx(-1)
    assert abs(similarity(source, film(2), SAME_PLACE)) < 0.3


def test_compared_at_the_coarser_resolution_in_both_directions() -> None:
    source = film(1)
    small = np.asarray(cv2.resize(source, (100, 120), interpolation=cv2.INTER_AREA), np.uint8)
    halved = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    there = similarity(source, small, halved)
    assert there > 0.95
    assert similarity(small, source, cv2.invertAffineTransform(halved)) == pytest.approx(there)


def test_plain_ground_is_no_agreement() -> None:
    black = np.zeros((200, 200), np.uint8)
    marked = black.copy()
    marked[90:100, 90:100] = 255
    assert similarity(black, black, SAME_PLACE) == 0
    assert similarity(marked, marked, SAME_PLACE) == 0  # a marker alone is too little to go by
