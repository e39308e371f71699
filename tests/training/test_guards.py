"""The gate goes with a model of knees alone, and the threshold of unfamiliar films is that of films apart."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded

from osteolens.card import FINDER_FILE
from osteolens.datasets.films import Film
from osteolens.films.gate import GATE_FILES
from osteolens.films.prepare import prepare
from osteolens.films.sample import drawn_knee
from osteolens.inference import familiarity
from osteolens.inference.reader import Reader
from osteolens.labels import LABELS
from osteolens.training.cohort import Cohort
from osteolens.training.guards import add_guards

NOISE = np.random.default_rng(0).integers(0, 256, (300, 240), np.uint8)


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder, tmp_path / "model"))


def cohort(folder: Path, pictures: list[np.ndarray]) -> Cohort:
    films = []
    for number, picture in enumerate(pictures):
        path = folder.parent / f"{number}.png"
        path.write_bytes(encoded(picture))
        films.append(Film(place="", path=path, file=path.name, group=f"g{number}", label=LABELS[0]))
    spec = Reader(folder).card.preprocess
    prepared = np.stack([prepare(picture, spec).array for picture in pictures])
    return Cohort(films, LABELS, prepared, np.full(len(films), "train"))


@pytest.mark.parametrize(("wanted", "knees", "carried"), [(True, 12, True), (True, 8, False), (False, 12, False)])
def test_the_gate_is_carried_where_it_accepts_the_films(folder: Path, wanted: bool, knees: int, carried: bool) -> None:
    pictures = [drawn_knee(300, 240, seed) if seed < knees else NOISE for seed in range(12)]
    sentences: list[str] = []
    add_guards(folder, cohort(folder, pictures), gate=wanted, notify=sentences.append)
    assert [(folder / name).is_file() for name in (*GATE_FILES, FINDER_FILE)] == [carried] * 3
    assert len(sentences) == wanted
    reader = Reader(folder)
    assert (reader.gate is not None, reader.finder is not None) == (carried, carried)
    assert reader.familiarity is not None


def test_97_of_100_films_apart_stay_below_the_threshold() -> None:
    random = np.random.default_rng(0)
    trained, apart = (random.normal(size=(count, 30)).astype(np.float32) for count in (300, 100))
    groups = [str(number // 2) for number in range(300)]
    known = familiarity.fit_threshold(trained, groups, 2 * apart)
    assert sum(known.distance(film) < 1 for film in 2 * apart) == 97
    # With too few films apart, fifths of the groups take their place: about 97 % of all.
    own = familiarity.fit_threshold(trained, groups, apart[: familiarity.ENOUGH - 1])
    assert 0.93 <= np.mean([own.distance(film) < 1 for film in apart]) <= 1
    assert own.threshold < known.threshold
