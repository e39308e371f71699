"""Films are known again by their list: copies of them too, other films never, and no list belongs to other weights."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT, encoded, knee_like

from osteolens.card import file_sha256, load_card
from osteolens.datasets.fingerprints import (
    POSES,
    TrainingFilms,
    _off,
    describe,
    detail,
    list_films,
    look,
    read_training_films,
    thumbnail,
)
from osteolens.errors import DataError


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the list of six films, and the films beside it."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "weights.safetensors").write_bytes(b"weights")
    for seed in range(6):
        (folder / f"{seed}.png").write_bytes(encoded(knee_like(seed=seed)))
    list_films(folder, [folder / f"{seed}.png" for seed in range(6)])
    return folder


def listed(folder: Path) -> TrainingFilms:
    films = read_training_films(folder, file_sha256(folder / "weights.safetensors"))
    assert films is not None
    return films


VARIANTS = {
    "the same file": lambda film: encoded(film),
    "the same picture in another file": lambda film: encoded(film, "TIFF"),
    "a copy": lambda film: encoded(film, "JPEG", quality=60),
    "a copy, smaller": lambda film: encoded(cv2.resize(film, (180, 224), interpolation=cv2.INTER_AREA)),
    "a copy, mirrored": lambda film: encoded(np.ascontiguousarray(film[:, ::-1])),
    "a copy, turned": lambda film: encoded(np.rot90(film)),
    "a copy, brighter": lambda film: encoded((255 * (film / 255) ** 0.7).astype(np.uint8)),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_film_and_its_copies_are_known(trained, tmp_path, variant):
    path = tmp_path / "film"
    path.write_bytes(VARIANTS[variant](knee_like(seed=3)))
    assert listed(trained).recognise(*look([path])) == {0: variant.split(",")[0]}


def test_other_films_are_not_known(trained, tmp_path):
    paths = [tmp_path / f"{seed}.png" for seed in range(6, 26)]
    for seed, path in enumerate(paths, 6):
        path.write_bytes(encoded(knee_like(seed=seed)))
    assert listed(trained).recognise(*look(paths)) == {}


def test_the_share_of_different_bits_is_the_angle_between_details(tmp_path):
    """Of two vectors of correlation c, signs of random projections differ with the probability arccos(c) / pi."""
    films = [knee_like(seed=0), np.clip(knee_like(seed=0) + 1.2 * (knee_like(seed=1) - 90.0), 0, 255).astype(np.uint8)]
    for number, film in enumerate(films):
        (tmp_path / f"{number}.png").write_bytes(encoded(film))
    first, second = (detail(thumbnail(film)).ravel() for film in films)
    _, (one, other) = look([tmp_path / "0.png", tmp_path / "1.png"])
    expected = np.arccos(first @ second) / np.pi
    assert 0.1 < expected < 0.4
    assert abs(_off(one[:1], other[:1])[0, 0] - expected) < 0.05  # 3 standard deviations of 1024 bits


def test_a_list_holds_no_names_and_one_line_per_film(trained):
    text = (trained / "training_films.json").read_text()
    assert ".png" not in text
    assert len(json.loads(text)["fingerprints"]) == 6
    (fingerprint,), ((*poses,),) = look([trained / "0.png"])
    assert fingerprint.text() in text
    assert len(poses) == len(POSES) == 8


def test_a_list_of_other_weights_and_a_damaged_one_are_refused(trained, tmp_path):
    assert read_training_films(tmp_path, "0" * 64) is None
    with pytest.raises(DataError, match="the list of other weights"):
        read_training_films(trained, "0" * 64)
    for damage in ("{", "[]", '{"weights_sha256": "", "complete": true, "fingerprints": ["AAAA"]}'):
        (tmp_path / "training_films.json").write_text(damage)
        with pytest.raises(DataError, match="no list of training films as training writes it"):
            read_training_films(tmp_path, "")


def test_a_sentence_names_the_first_of_them():
    known = {4: "a copy", 1: "the same file"}
    text = describe(known, [f"{number}.png" for number in range(10)])
    assert text == "2 of 10 films, such as 1.png (the same file), 4.png (a copy)"


@pytest.mark.parametrize("name", ["efficientnet", "knee", "yolov5"])
def test_the_shipped_models_have_lists(name):
    card = load_card(ROOT / "weights" / name)
    films = read_training_films(ROOT / "weights" / name, card.weights_sha256)
    assert (len(films.fingerprints), films.complete) == (card.data.films["cross-validated"], True)
