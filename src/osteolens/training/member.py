"""Member of a cross-validation: a model trained in its own process, which predicts the films that it never saw."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from osteolens.errors import DataError, in_words
from osteolens.files import write_text
from osteolens.training.augment import derived_seed
from osteolens.training.cohort import Cohort
from osteolens.training.config import Configuration
from osteolens.training.fit import build_learner, make_deterministic, train
from osteolens.training.identity import Identity, of_training, with_pictures
from osteolens.training.model_folder import predict_films, save_model
from osteolens.training.optimise import choose_precision

ANSWERS_FILE = "answers.json"
ALL_FOLDER = "all"
LOG_FILE = "train.txt"


@dataclass(frozen=True)
class Member:
    """A fold of a repeat.

    Attributes:
        folder: Folder of its run.
        repeat: From 0.
        fold: The fold that it never sees, from 0.
    """

    folder: Path
    repeat: int
    fold: int


def train_member(config: Configuration, member: Member, cohort: Cohort, threads: int) -> None:
    """Train on the films that are not test films, write `model/`, and predict the test films into `answers.json`.

    A member with predictions for the same settings and films is left alone; a killed one goes on.

    Raises:
        DataError: The folder holds a different run.
        TrainingError: The loss is not finite.
    """
    seed = derived_seed(config.run.seed, member.repeat, member.fold) % 2**31
    config = config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})})
    identity = _identity(config, cohort)
    path = member.folder / ANSWERS_FILE
    if path.exists() and _read(path)["identity"] == identity:
        return
    torch.set_num_threads(threads)
    member.folder.mkdir(parents=True, exist_ok=True)
    with (member.folder / LOG_FILE).open("a", encoding="utf-8") as log:
        folder = _train(config, member.folder, cohort, "fold", Console(file=log, width=120))
    logits, t_scores = predict_films(folder, cohort.among("test"), config, _device())
    rows = [None if np.isnan(t_score) else float(t_score) for t_score in t_scores]  # JSON has no NaN
    # Written whole or not at all: a file that exists belongs to a finished member.
    write_text(path, json.dumps({"identity": identity, "logits": logits.tolist(), "t_scores": rows}))


def train_on_all(config: Configuration, cohort: Cohort, out: Path, name: str, console: Console) -> Path:
    """Train the model to ship on every film, with the settings that were cross-validated.

    Args:
        config: Its validation films, if any, choose the epoch here too.
        cohort: Films of the parts `train` and, if any, `validation`.
        out: The run's folder; checkpoint and logs go to `all/` in it.
        name: The model's name in its card.
        console: Where progress goes.

    Returns:
        The model folder.
    """
    folder = out / ALL_FOLDER
    folder.mkdir(exist_ok=True)
    return _train(config, folder, cohort, name, console)


def _train(config: Configuration, folder: Path, cohort: Cohort, name: str, console: Console) -> Path:
    make_deterministic(config.run.seed)
    learner = build_learner(config, cohort.among("train"), choose_precision(config.run.precision, _device()))
    train(config, learner, cohort, folder, _identity(config, cohort), console)
    return save_model(folder, config, name, learner.model, cohort)


def _identity(config: Configuration, cohort: Cohort) -> Identity:
    return with_pictures(of_training("a fold", config, cohort.films, cohort.labels, cohort.parts), cohort.pictures)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def read_answers(member: Member) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits float64 [n, K] and T-scores float64 [n] (NaN: none) of the member's n test films, in their order."""
    stored = _read(member.folder / ANSWERS_FILE)
    t_scores = [np.nan if value is None else value for value in stored["t_scores"]]
    return np.array(stored["logits"], np.float64), np.array(t_scores, np.float64)


def _read(path: Path) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        stored = {name: stored[name] for name in ("identity", "logits", "t_scores")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({in_words(error)}); delete it to train this fold again") from error
    return stored
