"""Models of a run, each with the films that it never saw."""

import random
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from osteolens import models
from osteolens.card import PreprocessSpec
from osteolens.datasets.films import Film, finder_path, prepare_film, shipped_finder, split_side
from osteolens.errors import DataError, InputError, in_words
from osteolens.evaluation.maps.regions import Mask, joint_band
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions, average, read_predictions
from osteolens.evaluation.run_folder import MODEL_FOLDER
from osteolens.films.joints import Finder
from osteolens.films.prepare import Prepared
from osteolens.films.read import read
from osteolens.inference.calibration import softmax
from osteolens.models import Ensemble, KneeModel, Model

MAX_OFF = 0.01
"""Largest difference between a probability of a fold's model and the one in the table of predictions."""
_BATCH = 16


@dataclass(frozen=True)
class Unseen:
    """A model with films that it never saw.

    Attributes:
        model: In evaluation mode.
        films: N films.
        prepared: Their prepared pictures.
        bands: Joint band of each, see `joint_band`; none without a joint finder.
    """

    model: Model
    films: Sequence[Film]
    prepared: Sequence[Prepared]
    bands: Sequence[Mask] = ()

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """uint8 [N, 1, H, W]."""
        return np.stack([prepared.array for prepared in self.prepared])


def unseen_films(
    runs: Sequence[Path], data: Path, files: Container[str] | None = None, folders: Sequence[Path] = ()
) -> list[Unseen]:
    """Pair each film of a run with the model that had not seen it, in the first repeat.

    Args:
        runs: Folders with `predictions.csv` and the models of the folds (`r0f0/model`, ...), or `model` where there
            is one fold only. Several runs on the same films and folds are explained together, as an ensemble.
        data: The table or folder of films that the runs were made from.
        files: The films to take, by file; default: all.
        folders: The models of the folds in order, where the one run holds only its table, as in `evidence/`.

    Raises:
        DataError: A table, model or film is missing, the runs are not about the same films and folds, or `folders` are
            not the models that made the predictions of the table.
        CardError: A model folder is wrong.
    """
    predictions = average([read_predictions(run / PREDICTIONS_FILE) for run in runs])
    parts: list[Unseen] = []
    numbers = sorted(set(predictions.fold[0].tolist()))
    if folders and len(folders) != len(numbers):
        raise DataError(f"{runs[0]} has {len(numbers)} folds, found {len(folders)} models for them")
    for index, fold in enumerate(numbers):
        tested = (film for film, place in zip(predictions.films, predictions.fold[0], strict=True) if place == fold)
        films = [film for film in tested if files is None or film.file in files]
        if films:
            places = [folders[index]] if folders else [model_folder(run, fold, predictions) for run in runs]
            model, spec = _model(places)
            part = unseen(model, [replace(film, path=film_path(film, data)) for film in films], spec, _finder(spec))
            if folders:
                _check_answers(part, predictions, places[0])
            parts.append(part)
    return parts


def unseen(model: Model, films: Sequence[Film], spec: PreprocessSpec, finder: Finder | None) -> Unseen:
    """Prepare films for a model that never saw them, and find their joints where there is a finder.

    Raises:
        DataError: A film is missing, or cannot be read.
    """
    prepared, bands = [], []
    for film in films:
        try:
            prepared.append(prepare_film(film, spec, finder))
            if finder:
                bands.append(joint_band(read(film.path).pixels, prepared[-1].geometry, finder))
        except (InputError, OSError) as error:
            raise DataError(f"the film {film.file} cannot be read from {film.path}: {in_words(error)}") from error
    return Unseen(model, films, prepared, bands)


@torch.no_grad()
def probabilities_of(model: Model, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Probabilities, not calibrated: uint8 [N, 1, H, W] -> float64 [N, K]."""
    batches = torch.split(torch.from_numpy(pictures), _BATCH)
    return np.concatenate([model(batch)[0].double().softmax(dim=1).numpy() for batch in batches])


def draw_files(predictions: Predictions, limit: int, seed: int) -> set[str]:
    """Draw the files of at most `limit` films at random."""
    files = [film.file for film in predictions.films]
    return set(random.Random(seed).sample(files, min(limit, len(files))))  # noqa: S311 - no secret


def film_path(film: Film, data: Path) -> Path:
    """Path of a film of a table of predictions."""
    return (data if data.is_dir() else data.parent) / split_side(film.file)[0]


def model_folder(run: Path, fold: int, predictions: Predictions) -> Path:
    """Folder of the model that was tested on a fold in the first repeat."""
    folder = run / f"r0f{fold}" / MODEL_FOLDER
    single = predictions.fold.max() == predictions.fold.min()
    return run / MODEL_FOLDER if single and not folder.exists() else folder


def _check_answers(part: Unseen, predictions: Predictions, folder: Path) -> None:
    """Refuse a model whose predictions differ from those of the table."""
    place = {film.file: index for index, film in enumerate(predictions.films)}
    stored = predictions.logits[0, [place[film.file] for film in part.films]]
    off = float(np.abs(probabilities_of(part.model, part.pictures) - softmax(stored)).max())
    if not off < MAX_OFF:  # NaN is refused too
        raise DataError(f"{folder} does not give the answers in {PREDICTIONS_FILE}: a probability is off by {off:.2g}")


def _model(folders: Sequence[Path]) -> tuple[Model, PreprocessSpec]:
    """Load the model of one folder, or of several as an ensemble, with its preprocessing."""
    loaded = [models.load(folder) for folder in folders]
    spec = loaded[0][1].preprocess
    if any(card.preprocess != spec for _, card in loaded):
        raise DataError(f"{', '.join(map(str, folders))} do not prepare films alike: explain them one by one")
    members = [model for model, _ in loaded if isinstance(model, KneeModel)]
    if len(members) == len(loaded) > 1:
        return models.for_inference(Ensemble(members)), spec
    if len(loaded) > 1:
        raise DataError(f"one of {', '.join(map(str, folders))} is an ensemble itself: name the runs of its members")
    return loaded[0][0], spec


def _finder(spec: PreprocessSpec) -> Finder | None:
    """The joint finder that comes with OsteoLens; None for a model of whole films where it is missing or cannot run."""
    at_hand = finder_path().is_file() and find_spec("onnxruntime") is not None
    return shipped_finder(spec) or (Finder(finder_path()) if at_hand else None)
