"""How a film was taken, on films that are drawn with a known answer."""

import cv2
import numpy as np
import pytest

from osteolens.films.acquisition import NAMES, measure


def taken(pixels):
    return dict(zip(NAMES, measure(pixels), strict=True))


def legs(count=2, height=400, width=500, air=4, tissue=120):
    """Upright bars of 80 columns, evenly spread."""
    film = np.full((height, width), air, np.uint8)
    for number in range(count):
        centre = round(width * (number + 1) / (count + 1))
        film[:, centre - 40 : centre + 40] = tissue
    return film


def test_size_shape_grey_and_place_of_a_drawn_leg():
    film = legs(1)
    values = taken(film)
    assert values["size"] == pytest.approx(np.log10(200_000))
    assert values["shape"] == pytest.approx(np.log2(500 / 400))
    assert values["air"] == pytest.approx(1 - 80 / 500, abs=0.02)
    assert values["air_level"] == pytest.approx(4, abs=3)
    assert values["brightness"] == pytest.approx(120, abs=5)
    assert (values["centre_x"], values["centre_y"]) == pytest.approx((0.5, 0.5), abs=0.01)
    assert values["body_width"] == pytest.approx(80 / 500, abs=0.02)
    assert values["white"] == 0
    moved = taken(np.roll(film, 100, axis=1))
    assert moved["centre_x"] == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_legs_are_counted(count):
    assert taken(legs(count))["legs"] == count


def test_a_marker_beside_the_leg_is_counted_and_no_part_of_the_body():
    film = legs(1)
    film[20:40, 20:50] = 255
    values = taken(film)
    assert values["markers"] == 1
    assert values["marker_area"] == pytest.approx(600 / 200_000, rel=0.4)
    assert values["centre_x"] == pytest.approx(0.5, abs=0.01)
    assert values["white"] == pytest.approx(600 / 200_000, rel=0.4)


def test_empty_borders_are_shares_of_the_film():
    film = np.full((400, 500), 0, np.uint8)
    film[40:, 100:450] = np.random.default_rng(0).integers(60, 200, (360, 350))
    values = taken(film)
    borders = [values[f"border_{side}"] for side in ("top", "bottom", "left", "right")]
    assert borders == pytest.approx([0.1, 0, 0.2, 0.1], abs=0.005)


def test_a_blurred_film_has_wider_edges_and_less_fine_noise():
    random = np.random.default_rng(0)
    sharp = (legs(2) + random.normal(8, 3, (400, 500))).clip(0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 1.5)
    first, second = taken(sharp), taken(blurred)
    assert second["edge_spread"] > first["edge_spread"] * 1.5
    for name in ("air_noise", "body_noise", "fine_power"):
        assert second[name] < first[name]
    # The mean of |x| of normal noise with standard deviation 3 is 3 sqrt(2 / pi).
    assert first["body_noise"] == pytest.approx(3 * np.sqrt(2 / np.pi), rel=0.1)


@pytest.mark.parametrize("film", [np.zeros((64, 64)), np.full((64, 80), 255), np.eye(65) * 200, np.ones((3000, 70))])
def test_any_film_has_finite_numbers(film):
    values = measure(film.astype(np.uint8))
    assert len(values) == len(NAMES)
    assert np.isfinite(values).all()
