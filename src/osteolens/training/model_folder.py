"""Model folder of a trained model, and the predictions of the written weights."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from osteolens import models
from osteolens.card import Card, TrainingData, file_sha256
from osteolens.datasets.films import finder_path
from osteolens.datasets.folds import PARTS, Part
from osteolens.evaluation.predictions import Predictions, Split
from osteolens.evaluation.run_folder import MODEL_FOLDER
from osteolens.films.joints import copy_finder
from osteolens.models import KneeModel
from osteolens.training.cohort import Cohort
from osteolens.training.config import Configuration
from osteolens.training.engine import predict
from osteolens.training.optimise import Precision

SPLIT = "by group, stratified by label, split seed {seed}; no group is in two parts"


def save_model(out: Path, config: Configuration, name: str, model: KneeModel, cohort: Cohort) -> Path:
    """Write `model/{weights.safetensors,card.json}` into a run's folder and return that folder."""
    folder = out / MODEL_FOLDER
    folder.mkdir(exist_ok=True)
    each = config.preprocess.view == "each knee"
    card = Card(
        name=name,
        architecture=config.model.architecture,
        labels=cohort.labels,
        border=config.data.border or None,
        condition=config.data.condition or None,
        has_t_score=model.has_t_score,
        preprocess=config.preprocess,
        mirrored=config.model.mirrored,
        weights_sha256=file_sha256(models.save_weights(model, folder)),
        joints_sha256=copy_finder(finder_path(), folder) if each else None,
        data=_training_data(config, cohort),
    )
    card.save(folder)
    return folder


def predict_films(
    folder: Path, cohort: Cohort, config: Configuration, device: torch.device
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Predict films with the written fp16 weights, loaded as a user would.

    Returns:
        Logits float64 [N, K] and T-scores float64 [N].
    """
    model, _ = models.load(folder)
    pictures = torch.from_numpy(cohort.pictures)
    precision = Precision(device, torch.float32)  # as users run it, whatever format the training used
    logits, t_scores = predict(model.to(device), pictures, config.optimisation.batch_size, precision)
    return logits.double().numpy(), t_scores.double().numpy()


def predict_split(
    folder: Path, cohort: Cohort, config: Configuration, scored: Part, device: torch.device
) -> Predictions:
    """Predictions of a single split: the scored part and, if that is the test part, the validation films too.

    Args:
        folder: The model folder.
        cohort: All films.
        config: The run's configuration.
        scored: `test`; or `validation` for a trial, and then the test films are not predicted at all.
        device: Device to predict on.
    """
    validation = None
    if scored == "test" and cohort.among("validation").films:
        validation = _predict_part(folder, cohort.among("validation"), config, device)
    split = Split(scored, cohort.among("train").films, validation)
    return _predict_part(folder, cohort.among(scored), config, device, split)


def _predict_part(
    folder: Path, cohort: Cohort, config: Configuration, device: torch.device, split: Split | None = None
) -> Predictions:
    logits, t_scores = predict_films(folder, cohort, config, device)
    fold = np.zeros((1, len(cohort.films)), np.int64)
    return Predictions(cohort.labels, cohort.films, fold, logits[None], t_scores[None], split=split)


def _training_data(config: Configuration, cohort: Cohort) -> TrainingData:
    members = {part: cohort.among(part) for part in PARTS}
    return TrainingData(
        name=config.dataset.name,
        source=config.dataset.source,
        licence=config.dataset.licence,
        split=SPLIT.format(seed=config.data.split_seed),
        films={part: len(side.films) for part, side in members.items()},
        groups={part: len(set(side.groups)) for part, side in members.items()},
    )
