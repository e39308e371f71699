"""Training run from configuration to model folder: the wiring around `engine`."""

import math
import os
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from torch import nn

from osteolens import models
from osteolens.card import Card
from osteolens.console import print_sentence
from osteolens.datasets.films import Film
from osteolens.datasets.fingerprints import list_films
from osteolens.datasets.folds import Part
from osteolens.errors import DataError, TrainingError
from osteolens.evaluation import metrics
from osteolens.evaluation.predictions import PREDICTIONS_FILE
from osteolens.models import KneeModel
from osteolens.training import checkpoint, identity
from osteolens.training.augment import derived_seed
from osteolens.training.checkpoint import Progress, Row
from osteolens.training.cohort import Cohort, epoch_batches, split_films
from osteolens.training.config import Configuration
from osteolens.training.engine import Learner, predict, train_one_epoch
from osteolens.training.guards import add_guards
from osteolens.training.identity import Identity
from osteolens.training.logs import RunLog, draw_curves, epoch_line, progress_bar
from osteolens.training.model_folder import predict_split, save_model
from osteolens.training.objective import Objective, balanced_weights
from osteolens.training.optimise import Precision, Schedule, averaged, build_optimiser, choose_precision
from osteolens.training.outcome import parts_of_fit, show, write_outcome

CHECKPOINT_FILE = "checkpoint.safetensors"
CURVES_FILE = "curves.png"
SPLIT_FILE = "split.csv"


def fit(
    config: Configuration, source: Path, out: Path, *, name: str, restart: bool, trial: bool, console: Console
) -> Card:
    """Train, or go on where `out` stopped, and write model folder, logs, predictions and figures.

    Args:
        config: All settings.
        source: A table or a folder, see `osteolens.datasets.films.read_films`.
        out: The run's folder.
        name: The model's name in its card.
        restart: Train again even if `out` holds a run, which is deleted.
        trial: Score the validation films instead of the held-out ones, which the model then never reads.
        console: Where progress goes.

    Raises:
        DataError: Configuration, table or pictures are wrong, or `out` holds a different run.
        TrainingError: The loss is not finite.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise DataError(f"the name {name!r} is not a lower-case word of letters, digits and _, such as efficientnet")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    make_deterministic(config.run.seed)
    precision = choose_precision(config.run.precision, device)
    part: Part = "validation" if trial else "test"
    notify = partial(print_sentence, console)
    cohort = split_films(config, source, notify)
    training, validation = cohort.among("train").films, cohort.among("validation").films
    notify(parts_of_fit(training, validation, cohort.labels, config.optimisation.t_score_weight))
    if not cohort.among(part).films:
        raise DataError("a trial scores the validation films, and data.validation = 0 leaves none; use 0.15 or so")
    learner = build_learner(config, cohort.among("train"), precision)
    plan = identity.of_training("a single split", config, cohort.films, cohort.labels, cohort.parts)
    if not restart:
        identity.check(out, plan)  # at once: reading the pictures may take minutes
    cohort = cohort.read(config, console)
    run_identity = identity.with_pictures(plan, cohort.pictures)
    identity.claim(out, run_identity, restart=restart)
    train(config, learner, cohort, out, run_identity, console)
    folder = save_model(out, config, name, learner.model, cohort)
    list_films(folder, [film.path for film in cohort.among("train", "validation").films])
    add_guards(folder, cohort, gate=config.data.gate, notify=notify)
    cohort.write(out / SPLIT_FILE)
    predict_split(folder, cohort, config, part, device).write(out / PREDICTIONS_FILE)
    card = write_outcome(out, console)
    show(card, console)
    return card


def train(
    config: Configuration, learner: Learner, cohort: Cohort, out: Path, run_identity: Identity, console: Console
) -> None:
    """Train the remaining epochs; afterwards the model holds the best weights.

    Raises:
        DataError: The checkpoint in `out` is damaged, or belongs to another run than `run_identity`.
        TrainingError: The loss is not finite.
    """
    settings = config.optimisation
    training, validation = cohort.among("train"), cohort.among("validation")
    path = out / CHECKPOINT_FILE
    progress = Progress()
    if path.exists():
        progress = checkpoint.load(path, run_identity, learner)
        console.print(f"going on after epoch {len(progress.history)} of {settings.epochs} in {out}")
    progress.choose_by = settings.choose_by
    log = RunLog(out, progress.history)
    steps, done = learner.schedule.steps_per_epoch, len(progress.history)
    with progress_bar(console) as bar:
        task = bar.add_task("training", total=steps * settings.epochs, completed=steps * done, loss="")

        def on_step(loss: float) -> None:
            bar.update(task, advance=1, loss=f"loss {loss:.3f}")

        while not progress.finished(settings.epochs, settings.patience):
            row = run_epoch(config, learner, training, validation, len(progress.history), on_step)
            progress.add(row, learner.scored)
            checkpoint.save(path, run_identity, progress, learner)
            log.add(progress.history)
            console.print(epoch_line(progress, settings.epochs), soft_wrap=True)
    log.close()
    draw_curves(progress, out / CURVES_FILE)
    learner.model.load_state_dict(progress.best)


def run_epoch(
    config: Configuration,
    learner: Learner,
    training: Cohort,
    validation: Cohort,
    epoch: int,
    on_step: Callable[[float], None],
) -> Row:
    """Train and validate one epoch, counted from 0; its random numbers follow from seed and epoch alone."""
    started = time.monotonic()
    torch.manual_seed(derived_seed(config.run.seed, epoch))
    loss = train_one_epoch(learner, epoch_batches(config, training, epoch), epoch, on_step)
    return {
        "epoch": epoch + 1,
        "learning rate": learner.optimiser.param_groups[0]["lr"],
        "training loss": loss,
        **validate(learner, validation, config.optimisation.batch_size),
        "seconds": time.monotonic() - started,
    }


def validate(learner: Learner, validation: Cohort, batch_size: int) -> Row:
    """Loss and figures on the validation films; empty without such films.

    Raises:
        TrainingError: The loss is not finite.
    """
    if not validation.films:
        return {}
    pictures = torch.from_numpy(validation.pictures)
    logits, t_scores = predict(learner.scored, pictures, batch_size, learner.precision)
    device = learner.precision.device
    targets = torch.from_numpy(validation.truth), torch.from_numpy(validation.measured).float()
    loss = learner.objective(*(tensor.to(device) for tensor in (logits, t_scores, *targets))).item()
    if not math.isfinite(loss):
        raise TrainingError(f"the validation loss became {loss}: try a smaller optimisation.learning_rate")
    scored = metrics.Scored(
        labels=validation.labels,
        groups=validation.groups,
        truth=validation.truth,
        probabilities=logits.double().softmax(dim=1).numpy(),
        measured=validation.measured,
        t_score=t_scores.double().numpy(),
    )
    return {"validation loss": loss} | {f"validation {name}": value for name, value in metrics.figures(scored).items()}


def make_deterministic(seed: int) -> None:
    """Seed torch for this process and refuse operations whose result depends on timing."""
    # cuBLAS may sum in another order each time unless its workspace is fixed (its manual, "Results reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    # Filling new tensors guards against reading them before they are written, which no code here does, and costs half
    # the speed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)


def build_learner(config: Configuration, training: Cohort, precision: Precision) -> Learner:
    """Build the model with its loss, optimiser and schedule, as training starts."""
    settings = config.optimisation
    model = build_model(config, training.films, len(training.labels))
    frozen = freeze(model, config.model.frozen_blocks)
    model.to(precision.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    truth, classes = torch.from_numpy(training.truth), len(training.labels)
    weights = balanced_weights(truth, classes) if settings.class_weights == "balanced" else torch.ones(classes)
    steps = max(len(training.films) // settings.batch_size, 1)
    return Learner(
        model=model,
        objective=Objective(
            weights.to(precision.device), settings.label_smoothing, settings.t_score_weight, settings.ordinal_weight
        ),
        optimiser=build_optimiser(model, settings.learning_rate, settings.weight_decay, settings.head_factor),
        schedule=Schedule(settings.learning_rate, steps, settings.epochs, settings.warmup_epochs),
        precision=precision,
        scaler=precision.scaler(),
        frozen=frozen,
        average=averaged(model, settings.weight_average),
    )


def freeze(model: KneeModel, blocks: int) -> Sequence[nn.Module]:
    """Stop an EfficientNet's stem and first blocks from learning, and return these parts; none for 0 blocks.

    Raises:
        DataError: The backbone has no such blocks.
    """
    if not blocks:
        return ()
    try:
        backbone = cast("Any", model.backbone)
        parts = [backbone.conv_stem, backbone.bn1, *backbone.blocks[:blocks]]
    except AttributeError as error:
        raise DataError("model.frozen_blocks is for EfficientNets; leave it at 0 for this architecture") from error
    for part in parts:
        part.requires_grad_(False)
    return parts


def build_model(config: Configuration, training: Sequence[Film], classes: int) -> KneeModel:
    """Build the model; its T-score head, if training films have T-scores, starts at their mean."""
    measured = [film.t_score for film in training if math.isfinite(film.t_score)]
    has_t_score = bool(measured) and config.optimisation.t_score_weight > 0
    model = models.build(
        config.model.architecture,
        classes,
        has_t_score=has_t_score,
        pretrained=config.model.pretrained and not config.model.start,
        dropout=config.model.dropout,
    )
    model.mirrored = config.model.mirrored
    if config.model.start:
        models.load_backbone(model, Path(config.model.start))
    if has_t_score:
        torch.nn.init.constant_(model.regressor.bias, sum(measured) / len(measured))
    return model
