import shutil
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from conftest import ROOT, encoded, knee_like, make_model_folder
from support.films import film
from support.scripts import run_script

from osteolens import models
from osteolens.errors import DataError
from osteolens.evaluation.maps.findings import read_map_checks
from osteolens.evaluation.maps.runs import draw_files, unseen_films
from osteolens.evaluation.predictions import Predictions, read_predictions
from osteolens.labels import LABELS
from osteolens.models import Ensemble

COUNT = 6


def write_table(run: Path, fold: list[list[int]], count: int = COUNT) -> None:
    films = [replace(film(LABELS[n % 3], f"g{n}"), file=f"films/{n}.png") for n in range(count)]
    logits = np.zeros((len(fold), count, 3))
    Predictions(LABELS, films, np.array(fold), logits, np.full(logits.shape[:2], np.nan)).write(run / "predictions.csv")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `films/` holds the films, and a table beside it."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "films").mkdir()
    for number in range(COUNT):
        (folder / "films" / f"{number}.png").write_bytes(encoded(knee_like(seed=number)))
    (folder / "films.csv").write_text("file,label\n")
    return folder


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation of two folds, twice."""
    run = tmp_path_factory.mktemp("folds")
    for fold in (0, 1):
        make_model_folder(run / f"r0f{fold}" / "model", side=64, seed=fold)
    write_table(run, [[0, 1, 0, 1, 0, 1], [1, 1, 1, 0, 0, 0]])
    return run


def test_every_film_meets_the_model_of_its_fold_in_the_first_repeat(folds: Path, data: Path) -> None:
    parts = unseen_films([folds], data / "films.csv")
    assert [[film.file for film in part.films] for part in parts] == [
        ["films/0.png", "films/2.png", "films/4.png"],
        ["films/1.png", "films/3.png", "films/5.png"],
    ]
    for fold, part in enumerate(parts):
        expected, _ = models.load(folds / f"r0f{fold}" / "model")
        for name, value in expected.state_dict().items():
            assert value.equal(part.model.state_dict()[name])
        assert part.pictures.shape == (3, 1, 64, 64)


def test_a_folder_of_films_will_do_as_well(folds: Path, data: Path) -> None:
    by_table, by_folder = (unseen_films([folds], place)[0].pictures for place in (data / "films.csv", data))
    np.testing.assert_array_equal(by_table, by_folder)


def test_a_limit_draws_the_same_films_again(folds: Path, data: Path) -> None:
    predictions = read_predictions(folds / "predictions.csv")
    drawn = [draw_files(predictions, 3, seed) for seed in (0, 0, 1, 2)]
    assert [len(files) for files in drawn] == [3] * 4
    assert drawn[0] == drawn[1]
    assert drawn[1:].count(drawn[0]) < 3
    assert len(draw_files(predictions, 99, 0)) == COUNT
    shown = [film.file for part in unseen_films([folds], data, drawn[0]) for film in part.films]
    assert set(shown) == drawn[0]


def test_a_single_split_has_one_model_in_place_of_the_folds(folds: Path, data: Path, tmp_path: Path) -> None:
    shutil.copytree(folds / "r0f1" / "model", tmp_path / "model")
    write_table(tmp_path, [[0] * COUNT])
    (part,) = unseen_films([tmp_path], data)
    assert len(part.films) == COUNT


def test_several_runs_answer_as_an_ensemble(folds: Path, data: Path, tmp_path: Path) -> None:
    for fold in (0, 1):
        make_model_folder(tmp_path / f"r0f{fold}" / "model", side=64, seed=10 + fold)
    shutil.copy(folds / "predictions.csv", tmp_path)
    part, _ = unseen_films([folds, tmp_path], data)
    assert isinstance(part.model, Ensemble)
    assert len(part.model.members) == 2


def test_runs_that_prepare_films_otherwise_are_refused(folds: Path, data: Path, tmp_path: Path) -> None:
    make_model_folder(tmp_path / "r0f0" / "model", side=96)
    shutil.copy(folds / "predictions.csv", tmp_path)
    with pytest.raises(DataError, match="do not prepare films alike"):
        unseen_films([folds, tmp_path], data)


def test_a_film_that_is_not_there_is_named(folds: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"films/0\.png"):
        unseen_films([folds], tmp_path)


def check(*arguments: str | Path) -> CompletedProcess[str]:
    return run_script(ROOT / "train" / "check_maps.py", *arguments)


@pytest.mark.slow
def test_the_script_writes_its_results(folds: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps.json"
    shipped = folds / "r0f0" / "model"
    done = check("--run", folds, "--model", shipped, "--data", data, "--films", "3", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    checks = read_map_checks(out)
    assert checks.films == 3
    assert "outside the body" in done.stdout


@pytest.mark.slow
def test_the_script_says_in_one_line_what_is_missing(data: Path, tmp_path: Path) -> None:
    done = check("--run", tmp_path / "nowhere", "--data", data)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "nowhere" in done.stderr
    assert len(done.stderr.splitlines()) == 1
