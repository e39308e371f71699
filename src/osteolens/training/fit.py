"""A training run from configuration to model folder: the wiring around `engine`."""

import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from osteolens.card import Card
from osteolens.datasets.films import teller
from osteolens.datasets.folds import Part
from osteolens.errors import DataError, TrainingError
from osteolens.evaluation import metrics
from osteolens.evaluation.predictions import PREDICTIONS_FILE
from osteolens.training import checkpoint, identity
from osteolens.training.augment import derived_seed
from osteolens.training.checkpoint import Progress, Row
from osteolens.training.cohort import Cohort, epoch_batches, share_out
from osteolens.training.config import Configuration
from osteolens.training.engine import Learner, predict, train_one_epoch
from osteolens.training.identity import Identity
from osteolens.training.logs import RunLog, draw_curves
from osteolens.training.model_folder import predict_split, save_model
from osteolens.training.optimise import choose_precision
from osteolens.training.outcome import show, write_outcome
from osteolens.training.parts import parts_of_fit
from osteolens.training.setup import build_learner, make_deterministic

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
        trial: Score the validation films instead of the held-out ones, which stay unread by the model.
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
    tell = teller(console)
    cohort = share_out(config, source, tell)
    training, validation = cohort.among("train").films, cohort.among("validation").films
    tell(parts_of_fit(training, validation, cohort.labels, config.optimisation.t_score_weight))
    if not cohort.among(part).films:
        raise DataError("a trial scores the validation films, and data.validation = 0 leaves none; use 0.15 or so")
    learner = build_learner(config, cohort.among("train"), precision)
    plan = identity.of_training("a single split", config, cohort.films, cohort.labels, cohort.parts)
    if not restart:
        identity.check(out, plan)  # at once: reading the pictures may take minutes
    cohort = cohort.read(config, console)
    decided = identity.with_pictures(plan, cohort.pictures)
    identity.claim(out, decided, restart=restart)
    train(config, learner, cohort, out, decided, console)
    folder = save_model(out, config, name, learner.model, cohort)
    cohort.write(out / SPLIT_FILE)
    predict_split(folder, cohort, config, part, device).write(out / PREDICTIONS_FILE)
    card = write_outcome(out, console)
    show(card, console)
    return card


def train(
    config: Configuration, learner: Learner, cohort: Cohort, out: Path, decided: Identity, console: Console
) -> None:
    """Run the epochs that are left; afterwards the model holds the best weights.

    Raises:
        DataError: The checkpoint in `out` is damaged, or of a training that something else than `decided` decided.
        TrainingError: The loss is not finite.
    """
    settings = config.optimisation
    training, validation = cohort.among("train"), cohort.among("validation")
    path = out / CHECKPOINT_FILE
    progress = Progress()
    if path.exists():
        progress = checkpoint.load(path, decided, learner)
        console.print(f"going on after epoch {len(progress.history)} of {settings.epochs} in {out}")
    log = RunLog(out, progress.history)
    steps, done = learner.schedule.steps_per_epoch, len(progress.history)
    with _bar(console) as bar:
        task = bar.add_task("training", total=steps * settings.epochs, completed=steps * done, loss="")

        def on_step(loss: float) -> None:
            bar.update(task, advance=1, loss=f"loss {loss:.3f}")

        while not progress.finished(settings.epochs, settings.patience):
            row = run_epoch(config, learner, training, validation, len(progress.history), on_step)
            progress.add(row, learner.model)
            checkpoint.save(path, decided, progress, learner)
            log.add(progress.history)
            console.print(_line(progress, settings.epochs), soft_wrap=True)
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
    """Train and validate one epoch, counted from 0; its random numbers follow from the seed and its number."""
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
    """Loss and figures on the validation films; nothing where there are none.

    Raises:
        TrainingError: The loss is not finite.
    """
    if not validation.films:
        return {}
    pictures = torch.from_numpy(validation.pictures)
    logits, t_scores = predict(learner.model, pictures, batch_size, learner.precision)
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


def _bar(console: Console) -> ProgressBar:
    return ProgressBar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
    )


def _line(progress: Progress, epochs: int) -> str:
    """The last epoch in one line."""
    row = progress.history[-1]
    line = f"epoch {len(progress.history)}/{epochs}  loss {row['training loss']:.3f}  {row['seconds']:.0f} s"
    if "validation loss" not in row:
        return line
    best = "  best so far" if progress.best_epoch == len(progress.history) else ""
    return (
        f"{line}  validation loss {row['validation loss']:.3f}, "
        f"balanced accuracy {row['validation balanced accuracy']:.3f}{best}"
    )
