"""Usual peaks, from maps worked out by hand."""

from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from support.films import film, save_film
from support.training import tiny_learner

from osteolens.card import load_card
from osteolens.evaluation.maps.peaks import measure_peaks, peaks_of, usual_peaks
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions

SQUARES = ("normal", "osteopenia", "osteoporosis")


def test_the_median_is_over_the_films_that_have_the_label() -> None:
    peaks = np.array([[1, 9], [2, 9], [6, 9], [0, 9], [0, 5], [0, 7]], np.float32)
    # Over all films the first median would be 0.5, and over the films of the first label it is 2.
    assert usual_peaks(("a", "b"), np.array([0, 0, 0, 1, 1, 1]), peaks) == {"a": 2.0, "b": 7.0}


def test_a_label_without_films_or_with_empty_maps_has_none() -> None:
    peaks = np.array([[1, 0, 3], [2, 0, 3], [1, 0, 3]], np.float32)
    assert usual_peaks(("a", "b", "c"), np.array([0, 1, 1]), peaks) == {"a": 1.0}


def test_peaks_are_those_of_the_closed_form() -> None:
    model = tiny_learner().model.eval()
    pictures = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16), dtype=np.uint8)
    with torch.no_grad():
        features = model.backbone(model.normalise(torch.from_numpy(pictures)))
        scores = torch.einsum("nchw,kc->nkhw", features, model.classifier.weight) / (14 * 14)
    np.testing.assert_allclose(peaks_of(model, pictures), scores.clamp(min=0).amax(dim=(2, 3)).numpy(), rtol=1e-5)


def test_the_card_gets_the_peaks_of_the_runs_films(model_folder: Path, tmp_path: Path, quiet: Console) -> None:
    folder, run = tmp_path / "model", tmp_path / "run"
    folder.mkdir()
    run.mkdir()
    card = load_card(model_folder)
    (folder / "weights.safetensors").write_bytes((model_folder / "weights.safetensors").read_bytes())
    card.save(folder)
    films = [film(SQUARES[index % 2], f"g{index}", age=40) for index in range(4)]
    for index in range(4):
        save_film(tmp_path / f"{index}.png", 60 + 40 * index, index)
    films = [row.__class__(**vars(row) | {"file": f"{index}.png"}) for index, row in enumerate(films)]
    Predictions(SQUARES, films, np.zeros((1, 4), np.int64), np.zeros((1, 4, 3)), np.zeros((1, 4))).write(
        run / PREDICTIONS_FILE
    )
    written = measure_peaks(folder, run, tmp_path / "films.csv", quiet)
    assert load_card(folder) == written
    assert set(written.map_peaks) <= {"normal", "osteopenia"}  # no film has the third label
    assert written.weights_sha256 == card.weights_sha256
