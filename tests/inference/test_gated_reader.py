"""A reader with a gate and the statistics of its training films; and these statistics."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded

from osteolens.card import load_card
from osteolens.errors import CardError
from osteolens.films import overlay
from osteolens.films.gate import GATE_FILES
from osteolens.films.lie import Lie
from osteolens.films.prepare import prepare
from osteolens.films.sample import drawn_knee
from osteolens.inference import familiarity
from osteolens.inference.familiarity import FAMILIARITY_FILE, Familiarity
from osteolens.inference.reader import UNFAMILIAR, Reader, Request
from osteolens.rows import FilmRefused

SHIPPED = Path(__file__).parents[2] / "weights" / "gate"
NOISE = encoded(np.random.default_rng(0).integers(0, 256, (300, 240), np.uint8))
KNEE = encoded(drawn_knee(400, 320, 5))


@pytest.fixture(scope="module")
def gated(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with a gate of its own."""
    folder = Path(shutil.copytree(model_folder, tmp_path_factory.mktemp("gated") / "model"))
    for name in GATE_FILES:
        shutil.copyfile(SHIPPED / name, folder / name)
    return folder


def test_what_is_no_knee_is_refused_before_the_model_sees_it(gated: Path) -> None:
    reader = Reader(gated)
    reader.warm_up()
    with pytest.raises(FilmRefused) as caught:
        reader.answer(Request(NOISE, {}, "a"))
    row = caught.value.row
    assert (caught.value.code, row.timing_ms.model, row.quality.unfamiliarity) == ("not_a_knee", 0, None)
    forced = reader.answer(Request(NOISE, {"force": "true"}, "a"))
    assert (forced.quality.accepted, forced.quality.reasons) == (False, row.quality.reasons)
    assert reader.answer(Request(KNEE, {}, "b")).quality.accepted


@pytest.mark.parametrize(
    ("lie", "codes"),
    [(Lie(90), ["turned_90"]), (Lie(180), ["turned_180"]), (Lie(270), ["turned_270"]), (Lie(0, True), ["inverted"])],
)
def test_a_film_that_lies_turned_or_inverted_is_righted_and_that_is_said(
    gated: Path, lie: Lie, codes: list[str]
) -> None:
    pixels, reader = drawn_knee(400, 320, 5), Reader(gated)
    sent = np.rot90(255 - pixels if lie.inverted else pixels, -lie.turn // 90).copy()
    upright, righted = (reader.answer(Request(encoded(film), {}, "a")) for film in (pixels, sent))
    assert righted.quality.accepted
    assert [reason.code for reason in righted.quality.corrections] == codes
    assert righted.quality.warnings == ()
    assert (righted.label, righted.probabilities) == (upright.label, upright.probabilities)
    assert (righted.film.height, righted.film.width) == sent.shape
    (before,), (after,) = (
        [overlay.decode_map(each.map_png) for each in film.explanations] for film in (upright, righted)
    )
    assert np.array_equal(after, np.rot90(before, -lie.turn // 90))


def test_without_a_gate_everything_is_answered(model_folder: Path) -> None:
    quality = Reader(model_folder).answer(Request(NOISE, {}, "a")).quality
    assert (quality.accepted, quality.unfamiliarity) == (True, None)


def test_a_distance_worked_out_by_hand(tmp_path: Path) -> None:
    one = np.array([[0.0, 1.0, 0.0]], np.float32)
    known = Familiarity(np.zeros(3, np.float32), one, np.array([4.0], np.float32), rest=1.0, threshold=2.0)
    # Four along a direction of variance 4: 16 / 4; nothing outside it; over one direction and the rest: sqrt(4 / 2).
    assert known.distance(np.array([0, 4, 0], np.float32)) == pytest.approx(np.sqrt(2) / 2)
    assert known.distance(np.array([3, 4, 4], np.float32)) == pytest.approx(np.sqrt((4 + 25) / 2) / 2)
    known.save(tmp_path, "a" * 64)
    loaded = familiarity.load(tmp_path, "a" * 64)
    assert loaded is not None
    assert loaded.distance(np.array([3, 4, 4], np.float32)) == pytest.approx(np.sqrt(29 / 2) / 2)
    with pytest.raises(CardError, match="other weights"):
        familiarity.load(tmp_path, "b" * 64)
    (tmp_path / FAMILIARITY_FILE).write_bytes(b"damaged")
    with pytest.raises(CardError, match="damaged"):
        familiarity.load(tmp_path, "a" * 64)


def test_films_like_those_fitted_on_are_near_and_others_far() -> None:
    random = np.random.default_rng(0)
    mixing = random.normal(size=(6, 40)).astype(np.float32)
    fitted, others = (random.normal(size=(count, 6)).astype(np.float32) @ mixing for count in (200, 100))
    noise = random.normal(0, 0.1, (300, 40)).astype(np.float32)
    known = familiarity.fit(fitted + noise[:200])
    near = [known.distance(values) for values in others + noise[200:]]
    assert np.median(near) < 1.3  # about a standard deviation a direction, and less where there is only noise
    assert min(known.distance(values) for values in random.normal(0, 3, (50, 40)).astype(np.float32)) > max(near)


def test_an_unfamiliar_film_is_answered_with_a_warning(gated: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(gated, tmp_path / "model"))
    reader, card = Reader(folder), load_card(folder)
    films = np.stack([prepare(drawn_knee(400, 320, seed), card.preprocess).array for seed in range(12)])
    known = familiarity.fit(reader.runtime.predict(films).pooled)
    for threshold, warned in ((100.0, False), (1e-4, True)):
        replace(known, threshold=threshold).save(folder, card.weights_sha256)
        quality = Reader(folder).answer(Request(KNEE, {}, "a")).quality
        assert quality.accepted
        assert quality.unfamiliarity is not None
        assert (quality.unfamiliarity > 1, UNFAMILIAR in quality.warnings) == (warned, warned)
