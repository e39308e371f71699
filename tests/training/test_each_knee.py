"""A model of single knees, trained on a table with a label for each knee of made-up films of both legs."""

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, encoded
from support.films import TINY, write_rows

from osteolens.card import load_card
from osteolens.datasets.films import finder_path
from osteolens.evaluation.predictions import read_predictions
from osteolens.exporting.archive import build_archive
from osteolens.exporting.onnx import to_onnx
from osteolens.films.gate import GATE_FILES
from osteolens.films.joints import Finder
from osteolens.films.knees import sides
from osteolens.films.sample import drawn_knee
from osteolens.inference.calibration import calibrate
from osteolens.inference.familiarity import FAMILIARITY_FILE
from osteolens.inference.reader import UNFAMILIAR, Reader, Request
from osteolens.labels import LABELS
from osteolens.training.config import load_configuration
from osteolens.training.fit import fit

FILMS = 12


def legs(seed: int) -> np.ndarray:
    return np.hstack([drawn_knee(360, 240, seed), drawn_knee(360, 240, seed + 100)])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows for each film, of other labels; those drawn films are taken on which the finder sees both knees."""
    folder, finder = tmp_path_factory.mktemp("legs"), Finder(finder_path())
    both = (("right", "position"), ("left", "position"))
    films = [film for film in map(legs, range(30)) if sides(finder.find(film)) == both][:FILMS]
    assert len(films) == FILMS
    rows = []
    for number, film in enumerate(films):
        (folder / f"{number}.png").write_bytes(encoded(film))
        for place, side in enumerate(("right", "left")):
            label = LABELS[(number + place) % 3]
            rows.append({"file": f"{number}.png", "group": f"p{number}", "side": side, "label": label})
    return write_rows(folder / "films.csv", rows)


@pytest.mark.slow
def test_each_knee_is_learned_scored_archived_and_answered_by_itself(table, tmp_path, quiet) -> None:
    settings = tmp_path / "settings.toml"
    text = TINY.format(epochs=1).replace("[data]", '[data]\nborder = "osteopenia"')
    settings.write_text(text.replace("width = 64", 'width = 64\nview = "each knee"'))
    fit(load_configuration(settings), table, tmp_path / "out", name="legs", restart=False, trial=False, console=quiet)
    folder = tmp_path / "out" / "model"
    card = load_card(folder)
    assert (card.preprocess.view, card.border) == ("each knee", "osteopenia")
    parts: dict[str, set[str]] = {}
    with (tmp_path / "out" / "split.csv").open() as stream:
        for row in csv.DictReader(stream):
            parts.setdefault(row["group"], set()).add(row["part"])
    assert len(parts) == FILMS
    assert all(len(sides_of) == 1 for sides_of in parts.values()), "both knees of a person are in one part"
    stored = read_predictions(tmp_path / "out" / "predictions.csv")
    first = stored.films[0].file.partition("#")[0]
    rows = [number for number, film in enumerate(stored.films) if film.file.partition("#")[0] == first]
    assert [stored.films[number].file for number in rows] == [f"{first}#right", f"{first}#left"]
    # What was scored is what a user gets for this knee of this film, through its own gate.
    reader = Reader(folder)
    answer = reader.answer(Request((table.parent / first).read_bytes(), {}, "a"))
    for number, knee in zip(rows, answer.knees, strict=True):
        shares = calibrate(stored.logits[0, number], card.calibration)
        assert list(knee.probabilities.values()) == pytest.approx(shares.tolist(), abs=1e-4)
        assert knee.explanations
    assert stored.films[rows[0]].label != stored.films[rows[1]].label
    # The gate and the distance from the training films came along, and go on into the archive.
    assert reader.gate is not None
    assert answer.quality.unfamiliarity is not None
    strange = np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8)
    forced = reader.answer(Request(encoded(strange), {"force": "true"}, "a")).quality
    assert not forced.accepted
    assert UNFAMILIAR in forced.warnings
    to_onnx(folder, tmp_path / "exports")
    archive, _ = build_archive(folder, tmp_path / "exports", tmp_path / "store", ROOT)
    with zipfile.ZipFile(archive) as packed:
        assert {*GATE_FILES, FAMILIARITY_FILE, "joints.onnx"} <= set(packed.namelist())
