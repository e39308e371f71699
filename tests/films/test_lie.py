"""Films that lie turned or inverted: the way back, by values worked out by hand and by pictures."""

from pathlib import Path

import numpy as np
import pytest

from osteolens.films.gate import TURNS
from osteolens.films.lie import Lie
from osteolens.films.prepare import Geometry

ROOT = Path(__file__).parents[2]
FILM = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
"""As it should lie: 2 pixels high, 3 wide."""


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("inverted", [False, True])
def test_a_film_is_turned_and_inverted_back(turn: int, inverted: bool) -> None:
    sent = np.rot90(255 - FILM if inverted else FILM, -turn // 90)
    assert np.array_equal(Lie(turn, inverted).righted(sent), FILM)


@pytest.mark.parametrize(
    ("turn", "point", "box"),
    [
        # The point is 10 from the left and 20 from the top of a film 100 high and 300 wide.
        (0, (10, 20), (10, 20, 60, 90)),
        (90, (80, 10), (10, 10, 80, 60)),  # its top is on the right now, 100 wide: 100 - 20
        (180, (290, 80), (240, 10, 290, 80)),
        (270, (20, 290), (20, 240, 90, 290)),  # its top is on the left now
    ],
)
def test_places_on_the_film_as_it_was_sent(turn: int, point: tuple[int, int], box: tuple[int, ...]) -> None:
    lie = Lie(turn)
    assert lie.point((10, 20), (100, 300)) == point
    assert lie.box((10, 20, 60, 90), (100, 300)) == box


@pytest.mark.parametrize("turn", TURNS)
def test_boxes_hold_the_same_pixels(turn: int) -> None:
    righted = np.zeros((90, 140), np.uint8)
    righted[20:50, 30:70] = 1
    left, top, right, bottom = Lie(turn).box((30, 20, 70, 50), righted.shape)
    sent = np.rot90(righted, -turn // 90)
    assert sent[top:bottom, left:right].all()
    assert sent.sum() == (bottom - top) * (right - left)


@pytest.mark.parametrize("turn", TURNS)
def test_maps_lie_on_the_film_as_it_was_sent(turn: int) -> None:
    upright = Geometry((200, 300), (20, 30, 160, 240), (64, 96), (16, 0), (96, 96))
    values = np.random.default_rng(0).random((12, 12)).astype(np.float32)
    laid = Lie(turn).laid(upright)
    assert laid.film == ((200, 300) if turn % 180 == 0 else (300, 200))
    size = (100, 150)
    expected = np.rot90(upright.to_film(values, size), -turn // 90)
    assert np.array_equal(laid.to_film(values, expected.shape), expected)
    assert laid.to_film(values).shape == laid.film


def test_what_was_done_is_said_and_its_codes_are_documented() -> None:
    page = (ROOT / "docs" / "gate.md").read_text()
    done = [reason for turn in TURNS for inverted in (False, True) for reason in Lie(turn, inverted).corrections]
    assert {reason.code for reason in done} == {"turned_90", "turned_180", "turned_270", "inverted"}
    assert [reason.code for reason in done if f"`{reason.code}`" not in page] == []
    assert Lie().corrections == ()
