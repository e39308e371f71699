"""Reproduction of the poster's figures, and figures on the same pictures without leaks.

Every fold leaves a file with all its predictions, so a killed run goes on with the next fold; all figures are computed
from those files.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import TaskID

from osteolens import models
from osteolens.errors import DataError, TrainingError
from osteolens.files import write_text
from osteolens.training.augment import derived_seed
from osteolens.training.cohort import Cohort, epoch_batches
from osteolens.training.config import Configuration
from osteolens.training.engine import predict, train_one_epoch
from osteolens.training.fit import build_learner, make_deterministic
from osteolens.training.identity import Identity, claim, digest, of_training, with_pictures
from osteolens.training.logs import progress_bar
from osteolens.training.optimise import choose_precision
from poster.published import FOLDS, Protocol, build_protocols, read_pictures
from poster.results import Result, accuracies, describe, score, show, write_page

FOLD_FOLDER = "folds"
RESULTS_FILE = "poster.json"
PAGE_FILE = "poster.html"


def reproduce(
    config: Configuration,
    architectures: Sequence[str],
    table: Path,
    out: Path,
    console: Console,
    *,
    restart: bool = False,
) -> list[Result]:
    """Measure every architecture under every protocol, or go on where the run in `out` stopped.

    Args:
        config: All settings but `model.architecture`.
        architectures: Names that `osteolens.models.build` knows.
        table: The published pictures, see `poster.published.read_pictures`.
        out: The run's folder: gets `poster.json`, `poster.html` and one file per fold.
        console: Where progress and the table go.
        restart: Train again even if `out` holds a run, which is deleted.

    Returns:
        One result per protocol and architecture.

    Raises:
        DataError: Table, pictures or settings are wrong, or `out` holds a different run.
        TrainingError: The loss is not finite.
    """
    for name in architectures:
        # Fails on an unknown name or missing weights now, not after the first architecture.
        models.build(name, 2, has_t_score=False, pretrained=config.model.pretrained and not config.model.start)
    pictures = read_pictures(table)
    protocols = build_protocols(pictures, config.preprocess, config.data.split_seed, console)
    if restart and (out / FOLD_FOLDER).is_dir():
        shutil.rmtree(out / FOLD_FOLDER)
    claim(out, _identity(config, protocols), restart=restart, growing=())  # no fold can be trained on
    (out / FOLD_FOLDER).mkdir(exist_ok=True)
    results = []
    for protocol in protocols:
        for name in architectures:
            settings = config.model_copy(update={"model": config.model.model_copy(update={"architecture": name})})
            answers = run_protocol(settings, protocol, out / FOLD_FOLDER, console)
            results.append(score(protocol, settings, answers))
    document = describe(results, pictures, config)
    write_text(out / RESULTS_FILE, json.dumps(document, indent=2, allow_nan=False) + "\n")
    write_page(out / PAGE_FILE, results, document)
    show(results, console)
    return results


def run_protocol(
    config: Configuration, protocol: Protocol, folder: Path, console: Console
) -> list[NDArray[np.float64]]:
    """Train and test each fold whose file is not there yet.

    Returns:
        Per fold, logits float64 [E, n, K] of its test films after each epoch that was scored.
    """
    identity = _fold_identity(config, protocol)
    answers = []
    name = f"{protocol.name} {config.model.architecture}"
    with progress_bar(console) as bar:
        for fold in range(FOLDS):
            path = folder / f"{name.replace(' ', '_')}_{fold}.json"
            training, tested = fold_sides(protocol, fold)
            if not path.exists():
                steps = max(len(training.films) // config.optimisation.batch_size, 1) * config.optimisation.epochs
                task = bar.add_task(f"{name}, fold {fold + 1} of {FOLDS}", total=steps, loss="")

                def on_step(loss: float, task: TaskID = task) -> None:
                    bar.update(task, advance=1, loss=f"loss {loss:.3f}")

                logits = run_fold(config, training, tested, every_epoch=protocol.best_epoch, on_step=on_step)
                stored = {"identity": identity, "logits": np.round(logits, 4).tolist()}
                write_text(path, json.dumps(stored, allow_nan=False) + "\n")
            answers.append(read_fold(path, identity))
            reached = ", ".join(f"{value:.3f}" for value in accuracies(answers[-1], tested.truth))
            console.print(f"{name}, fold {fold + 1}: accuracy {reached}", soft_wrap=True)
    return answers


def fold_sides(protocol: Protocol, fold: int) -> tuple[Cohort, Cohort]:
    """Training films and test films of a fold."""
    whole = protocol.cohort
    parts = np.where(protocol.fold == fold, "test", "train")
    cohort = Cohort(whole.films, whole.labels, whole.pictures, parts)
    return cohort.among("train"), cohort.among("test")


def run_fold(
    config: Configuration,
    training: Cohort,
    tested: Cohort,
    *,
    every_epoch: bool,
    on_step: Callable[[float], None],
) -> NDArray[np.float64]:
    """Train one model.

    Args:
        config: All settings.
        training: Training films.
        tested: Test films.
        every_epoch: Predict the test films after each epoch; else only after the last, so that they choose nothing.
        on_step: Called with each step's loss.

    Returns:
        Logits float64 [E, n, K] of the test films: E is the number of epochs, or 1.

    Raises:
        TrainingError: The loss or a logit is not finite.
    """
    settings, seed = config.optimisation, config.run.seed
    make_deterministic(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = choose_precision(config.run.precision, device)
    learner = build_learner(config, training, precision)
    pictures = torch.from_numpy(tested.pictures)
    outputs = []
    for epoch in range(settings.epochs):
        torch.manual_seed(derived_seed(seed, epoch))
        train_one_epoch(learner, epoch_batches(config, training, epoch), epoch, on_step)
        if every_epoch or epoch == settings.epochs - 1:
            logits, _ = predict(learner.model, pictures, settings.batch_size, precision)
            outputs.append(logits.double().numpy())
    logits_by_epoch = np.stack(outputs)
    if not np.isfinite(logits_by_epoch).all():
        raise TrainingError("the model's answers became infinite: try a smaller optimisation.learning_rate")
    return logits_by_epoch


def read_fold(path: Path, identity: Mapping[str, Any]) -> NDArray[np.float64]:
    """Read the logits of a finished fold.

    Raises:
        DataError: The file is damaged, or was made with other settings or pictures.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        made_with, logits = stored["identity"], np.array(stored["logits"], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the fold {path} cannot be read ({error}); delete it to train it again") from error
    if made_with != identity:
        raise DataError(f"{path} was made with other settings or other pictures; use another --out, or --restart")
    return logits


def _identity(config: Configuration, protocols: Sequence[Protocol]) -> Identity:
    """Identity of all folds of all architectures."""
    settings = config.model_copy(update={"model": config.model.model_copy(update={"architecture": ""})})
    shared = [_fold_identity(settings, protocol) for protocol in protocols]
    rows = {
        f"pictures, labels or folds of {protocol.name}": digest([each["films"], each["folds"]])
        for protocol, each in zip(protocols, shared, strict=True)
    }
    return shared[0] | {"kind of run": "the poster's protocols", "films": rows, "folds": {}}


def _fold_identity(config: Configuration, protocol: Protocol) -> Identity:
    cohort = protocol.cohort
    identity = of_training("a protocol of the poster", config, cohort.films, cohort.labels)
    return with_pictures(identity, cohort.pictures) | {"folds": {"fold of each film": digest(protocol.fold.tolist())}}
