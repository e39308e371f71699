"""Cross-validation from configuration to model folder, predictions, figures and facts."""

import csv
import re
import shutil
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from osteolens import models
from osteolens.card import Card, TrainingData, load_card
from osteolens.console import print_sentence
from osteolens.datasets.fingerprints import list_films
from osteolens.errors import DataError
from osteolens.evaluation.evaluate import check as check_table
from osteolens.evaluation.predictions import Predictions
from osteolens.evaluation.run_folder import FACTS_FILE, MODEL_FOLDER
from osteolens.training.config import Configuration
from osteolens.training.cross_validation import all_films, cross_validate, write_facts
from osteolens.training.fit import build_model
from osteolens.training.guards import add_guards
from osteolens.training.member import Member, train_on_all
from osteolens.training.optimise import choose_precision
from osteolens.training.outcome import parts_of_folds, show, write_outcome
from osteolens.training.plan import Plan, plan

VERSIONS = ("osteolens", "torch", "torchvision", "timm", "scikit-learn", "numpy")


def run(
    config: Configuration,
    source: Path,
    out: Path,
    *,
    name: str,
    folds: int,
    repeats: int,
    table: Path | None,
    by_source: bool,
    jobs: int,
    ensemble: bool,
    console: Console,
    executor: Executor | None = None,
    restart: bool = False,
) -> Card:
    """Cross-validate, evaluate, and build the model that is shipped; see `osteolens crossval`.

    `executor` trains the folds; default: processes of this machine. `restart` deletes the run that `out` holds.

    Raises:
        DataError: Configuration, data set or fold table are wrong, or `out` holds a different run.
        TrainingError: A loss is not finite.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise DataError(f"the name {name!r} is not a lower-case word of letters, digits and _, such as knee")
    kind = "source" if by_source else "a table" if table else "group, stratified by label"
    fold_plan = plan(config, source, folds=folds, repeats=repeats, table=table, by_source=by_source, console=console)
    weight = config.optimisation.t_score_weight
    print_sentence(console, parts_of_folds(fold_plan.films, fold_plan.labels, fold_plan.fold, weight))
    _refuse_late_failures(config, fold_plan)
    cross_validate(config, fold_plan, out, jobs=jobs, console=console, executor=executor, restart=restart)
    members = [out / f"r0f{fold}" / MODEL_FOLDER for fold in np.unique(fold_plan.fold[0])]
    everything = all_films(config, fold_plan, console)
    if ensemble:
        models.save_ensemble(members, out / MODEL_FOLDER, name)
        seen = replace(everything, parts=np.full(len(everything.films), "train"))  # by one member or another
    else:
        seen = everything
        trained = train_on_all(config, everything, out, name, console)
        shutil.copytree(trained, out / MODEL_FOLDER, dirs_exist_ok=True)
    card = load_card(out / MODEL_FOLDER).model_copy(update={"data": _data(config, fold_plan, kind)})
    card.save(out / MODEL_FOLDER)
    list_films(out / MODEL_FOLDER, [film.path for film in fold_plan.films])
    add_guards(out / MODEL_FOLDER, seen, gate=config.data.gate, notify=partial(print_sentence, console))
    card = write_outcome(out, console, ensemble=len(members) if ensemble else 0)
    write_facts(
        out / FACTS_FILE,
        name=name,
        dataset=config.dataset.model_dump(),
        configuration=config.model_dump(mode="json"),
        architecture=card.architecture,
        films=len(fold_plan.films),
        groups=len({film.group for film in fold_plan.films}),
        folds=len(np.unique(fold_plan.fold[0])),
        repeats=len(fold_plan.fold),
        ensemble=ensemble,
        seconds=_training_seconds(fold_plan.members(out)),
        versions={package: version(package) for package in VERSIONS},
    )
    show(card, console)
    return card


def _refuse_late_failures(config: Configuration, fold_plan: Plan) -> None:
    """Raise now what would fail only after all folds were trained, or in each of their processes.

    Raises:
        DataError: The films cannot be evaluated on these folds, or the model cannot be built.
    """
    repeats, count = fold_plan.fold.shape
    blank = np.zeros((repeats, count, len(fold_plan.labels))), np.full((repeats, count), np.nan)
    check_table(Predictions(fold_plan.labels, fold_plan.films, fold_plan.fold, *blank))
    choose_precision(config.run.precision, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    build_model(config, fold_plan.films, len(fold_plan.labels))


def _training_seconds(members: Sequence[Member]) -> int:
    """Seconds that all epochs of all folds took, without the time between a stop and the next start."""
    logs = [list(csv.DictReader((member.folder / "log.csv").open())) for member in members]
    return round(sum(float(row["seconds"]) for log in logs for row in log))


def _data(config: Configuration, fold_plan: Plan, kind: str) -> TrainingData:
    repeats, folds = len(fold_plan.fold), len(np.unique(fold_plan.fold[0]))
    return TrainingData(
        name=config.dataset.name,
        source=config.dataset.source,
        licence=config.dataset.licence,
        split=f"{folds} folds by {kind}, {repeats} times; every film answered out of fold",
        films={"cross-validated": len(fold_plan.films)},
        groups={"cross-validated": len({film.group for film in fold_plan.films})},
    )
