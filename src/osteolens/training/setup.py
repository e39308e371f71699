"""The start of a run: a seeded process, a model, its loss, optimiser and schedule."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from osteolens import models
from osteolens.datasets.films import Film
from osteolens.models import KneeModel
from osteolens.training.cohort import Cohort
from osteolens.training.config import Configuration
from osteolens.training.engine import Learner
from osteolens.training.objective import Objective, balanced_weights
from osteolens.training.optimise import Precision, Schedule, build_optimiser


def make_deterministic(seed: int) -> None:
    """Seed torch for this process and refuse operations whose result depends on timing."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Filling guards against reading memory before it is written, which nothing here does, and costs half the speed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def build_learner(config: Configuration, training: Cohort, precision: Precision) -> Learner:
    """Build the model as training starts, with its loss, optimiser and schedule."""
    settings = config.optimisation
    model = build_model(config, training.films, len(training.labels))
    model.to(precision.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    truth, classes = torch.from_numpy(training.truth), len(training.labels)
    weights = balanced_weights(truth, classes) if settings.class_weights == "balanced" else torch.ones(classes)
    steps = max(len(training.films) // settings.batch_size, 1)
    return Learner(
        model=model,
        objective=Objective(
            weights.to(precision.device), settings.label_smoothing, settings.t_score_weight, settings.ordinal_weight
        ),
        optimiser=build_optimiser(model, settings.learning_rate, settings.weight_decay),
        schedule=Schedule(settings.learning_rate, steps, settings.epochs, settings.warmup_epochs),
        precision=precision,
        scaler=precision.scaler(),
    )


def build_model(config: Configuration, training: Sequence[Film], classes: int) -> KneeModel:
    """Build the model; its T-score head, if the training films have T-scores, starts at their mean."""
    measured = [film.t_score for film in training if math.isfinite(film.t_score)]
    has_t_score = bool(measured) and config.optimisation.t_score_weight > 0
    model = models.build(
        config.model.architecture,
        classes,
        has_t_score=has_t_score,
        pretrained=config.model.pretrained and not config.model.start,
        dropout=config.model.dropout,
    )
    if config.model.start:
        models.load_backbone(model, Path(config.model.start))
    if has_t_score:
        torch.nn.init.constant_(model.regressor.bias, sum(measured) / len(measured))
    return model
