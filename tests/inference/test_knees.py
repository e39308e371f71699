"""A model that reads each knee: on a made-up film of two legs, each knee has the answer it would have alone."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, knee_like

from osteolens.card import FINDER_FILE, file_sha256, load_card
from osteolens.films import overlay
from osteolens.films.gate import Checked
from osteolens.films.joints import Finder, Joint
from osteolens.films.lie import Lie
from osteolens.inference.reader import Reader, Request
from osteolens.rows import FilmRefused, dump, parse
from osteolens.schema import Answer

RIGHT = Joint(x=150, y=260, width=166, turn=1.5, left=0.03, score=0.9)
LEFT = Joint(x=450, y=240, width=166, turn=0, left=0.97, score=0.9)


@pytest.fixture(scope="module")
def each_knee(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model, made to read each knee."""
    folder = tmp_path_factory.mktemp("each") / model_folder.name
    shutil.copytree(model_folder, folder)
    (folder / FINDER_FILE).write_bytes(b"never loaded here")
    card = load_card(folder)
    spec = card.preprocess.model_copy(update={"view": "each knee"})
    card.model_copy(update={"preprocess": spec, "joints_sha256": file_sha256(folder / FINDER_FILE)}).save(folder)
    return folder


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Joint]:
    """What the finder finds, which a test may change."""
    joints = [RIGHT, LEFT]
    monkeypatch.setattr(Finder, "find", lambda self, pixels: tuple(joints))
    return joints


def two_legs() -> np.ndarray:
    """uint8 [480, 600]: a knee in each half."""
    return np.hstack([knee_like(480, 300, seed=3), knee_like(480, 300, seed=8)])


def answer(reader: Reader, pixels: np.ndarray, **options: str) -> Answer:
    given = reader.answer(Request(encoded(pixels), options, "a"))
    assert parse(dump(given)) == given
    return given


def test_each_knee_has_the_answer_of_its_own_picture(each_knee: Path, model_folder: Path, found: list[Joint]) -> None:
    pixels, reader = two_legs(), Reader(each_knee)
    film = answer(reader, pixels, target="all")
    assert [(knee.side, knee.side_from) for knee in film.knees] == [("right", "position"), ("left", "position")]
    assert [knee.box for knee in film.knees] == [(50, 140, 250, 340), (350, 120, 550, 320)]
    alone = []
    whole = Reader(model_folder)
    spec = whole.card.preprocess.model_copy(update={"crop_borders": False})
    whole.card = whole.card.model_copy(update={"preprocess": spec})
    for knee in film.knees:
        left, top, right, bottom = knee.box
        alone.append(answer(whole, pixels[top:bottom, left:right], target="all"))
        assert knee.probabilities == pytest.approx(alone[-1].probabilities, abs=1e-5)
        assert knee.label == alone[-1].label
        assert knee.t_score is not None
    assert film.knees[0].probabilities != pytest.approx(film.knees[1].probabilities, abs=1e-4)


def test_the_film_has_the_answer_of_the_worse_knee(each_knee: Path, found: list[Joint]) -> None:
    pixels, reader = two_legs(), Reader(each_knee)
    labels = reader.card.labels

    def severity(shares: dict[str, float]) -> tuple[int, float]:
        values = [shares[label] for label in labels]
        return int(np.argmax(values)), float(np.dot(values, range(len(labels))))

    film = answer(reader, pixels)
    worse = max(film.knees, key=lambda knee: severity(knee.probabilities or {}))
    assert (film.label, film.probabilities, film.t_score) == (worse.label, worse.probabilities, worse.t_score)
    assert film.explanations == worse.explanations
    mirrored = answer(reader, np.ascontiguousarray(np.flip(pixels, axis=1)))
    found[:] = [RIGHT]
    single = answer(reader, pixels)
    assert single.probabilities == single.knees[0].probabilities
    assert len(mirrored.knees) == 2


def test_maps_of_knees_lie_in_their_boxes(each_knee: Path, found: list[Joint]) -> None:
    film = answer(Reader(each_knee), two_legs(), target="all")
    for knee in film.knees:
        for explanation in knee.explanations:
            levels = overlay.decode_map(explanation.map_png)
            assert levels.shape == (205, 256)
            left, top, right, bottom = (round(edge * 256 / 600) for edge in knee.box)
            outside = levels.copy()
            outside[top:bottom, left:right] = 0
            assert not outside.any()
            assert explanation.peak == 0 or levels.max() > 200


class Sideways:
    """A gate that takes every film to lie turned by 90 degrees clockwise."""

    def righted(self, pixels: np.ndarray) -> Checked:
        return Checked(Lie(90).righted(pixels), Lie(90))


def test_knees_of_a_film_that_lay_turned_are_where_it_shows_them(
    each_knee: Path, found: list[Joint], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, reader = two_legs(), Reader(each_knee)
    upright = answer(reader, pixels, target="all")
    monkeypatch.setattr(reader, "gate", Sideways())
    turned = answer(reader, np.rot90(pixels, -1).copy(), target="all")
    assert [reason.code for reason in turned.quality.corrections] == ["turned_90"]
    assert turned.quality.accepted
    assert "turned back" in turned.quality.remarks[0]
    assert (turned.film.width, turned.film.height) == (480, 600)
    assert turned.probabilities == upright.probabilities
    # The right knee, at (150, 260) of a film 480 high, is 480 - 260 from the left of the film on its side.
    assert [knee.joint for knee in turned.knees] == [(220, 150), (240, 450)]
    assert [knee.box for knee in turned.knees] == [(140, 50, 340, 250), (160, 350, 360, 550)]
    assert [knee.turn for knee in turned.knees] == [91.5, 90]
    assert [knee.side for knee in turned.knees] == ["right", "left"]
    for before, after in zip(upright.knees, turned.knees, strict=True):
        for one, other in zip(before.explanations, after.explanations, strict=True):
            levels, lying = overlay.decode_map(one.map_png), overlay.decode_map(other.map_png)
            assert np.array_equal(lying, np.rot90(levels, -1))


def test_without_a_knee_the_film_is_refused_or_by_force_read_whole(
    each_knee: Path, model_folder: Path, found: list[Joint]
) -> None:
    found.clear()
    reader = Reader(each_knee)
    with pytest.raises(FilmRefused, match="no knee joint"):
        answer(reader, two_legs())
    each, whole = answer(reader, two_legs(), force="true"), answer(Reader(model_folder), two_legs())
    assert (each.knees, each.probabilities) == ((), whole.probabilities)
    assert [reason.code for reason in each.quality.reasons] == ["no_knee"]


def test_each_flaw_is_a_reason_of_its_own(each_knee: Path, found: list[Joint]) -> None:
    found[:] = [RIGHT, replace(LEFT, turn=-21, x=560)]
    film = answer(Reader(each_knee), two_legs(), force="true")
    assert not film.quality.accepted
    assert [reason.code for reason in film.quality.reasons] == ["knee_cut_off", "turned"]


def test_a_model_of_whole_films_lists_knees_without_answers(
    model_folder: Path, tmp_path: Path, found: list[Joint]
) -> None:
    folder = tmp_path / "whole"
    shutil.copytree(model_folder, folder)
    (folder / FINDER_FILE).write_bytes(b"never loaded here")
    listed, plain = (answer(Reader(place), two_legs()) for place in (folder, model_folder))
    assert [knee.label for knee in listed.knees] == [None, None]
    assert [knee.side for knee in listed.knees] == ["right", "left"]
    assert {"joint", "tibial shaft"} <= set(listed.knees[0].regions)
    assert plain.knees == ()
    found[:] = [LEFT] * 3
    assert answer(Reader(folder), two_legs()).quality.warnings == (
        "3 knee joints were found; expected one knee or both of one person",
    )
    unchanged = ("label", "probabilities", "t_score", "explanations", "model")
    assert {name: getattr(listed, name) for name in unchanged} == {name: getattr(plain, name) for name in unchanged}
