"""Cross-validation by group: a model per fold, and every film predicted by the model that never saw it.

Each fold is a run in `r<repeat>f<fold>/` with its own process, which can be killed and goes on later. A finished
fold leaves `answers.json` and is not trained again.
"""

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import TextColumn, TimeElapsedColumn, TimeRemainingColumn

from osteolens.datasets.films import load_films
from osteolens.datasets.folds import mark_validation
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions
from osteolens.files import write_text
from osteolens.training.cohort import Cohort
from osteolens.training.config import Configuration
from osteolens.training.identity import Identity, check, claim, of_folds, of_training, with_pictures
from osteolens.training.member import ANSWERS_FILE, Member, read_answers, train_member
from osteolens.training.plan import FOLDS_FILE, Plan

POLL_SECONDS = 1.0


def cross_validate(
    config: Configuration,
    plan: Plan,
    out: Path,
    *,
    jobs: int,
    console: Console,
    executor: Executor | None = None,
    restart: bool = False,
) -> Predictions:
    """Train the unfinished folds and put all predictions into one table, `predictions.csv`.

    Args:
        config: All settings; each fold gets its own seed, derived from `run.seed`.
        plan: The folds.
        out: The run's folder.
        jobs: Folds trained at a time, each in a process with its share of the processor's cores.
        console: Where progress goes; each fold writes its own to `train.txt` in its folder.
        executor: Trains the folds, each with as many threads; default: `jobs` processes of this machine.
        restart: Train again even if `out` holds a run, which is deleted.

    Raises:
        DataError: Pictures are wrong, or `out` holds a different run.
        TrainingError: A loss is not finite.
    """
    members = plan.members(out)
    parts = [plan.parts(config, member) for member in members]
    identity = _identity(config, plan, members, parts)
    if not restart:
        check(out, identity)  # at once: reading the pictures may take minutes
    films, pictures = load_films(plan.films, config.preprocess, console)
    plan = replace(plan, films=films)
    claim(out, with_pictures(identity, pictures), restart=restart)
    plan.write(out / FOLDS_FILE)
    cohorts = [Cohort(plan.films, plan.labels, pictures, sides) for sides in parts]
    # Spawned, as OpenMP's threads do not survive a fork and torch would wait for them forever.
    executor = executor or ProcessPoolExecutor(jobs, get_context("spawn"), _end_with_parent)
    _train_all(config, members, cohorts, max(1, torch.get_num_threads() // jobs), executor, console)
    table = _gather(plan, members)
    table.write(out / PREDICTIONS_FILE)
    return table


def all_films(config: Configuration, plan: Plan, console: Console) -> Cohort:
    """Cohort of all films for training, some of them as validation films where the configuration wants them."""
    parts = np.full(len(plan.films), "train", dtype="U10")
    if config.data.validation:
        labels, groups = [film.label for film in plan.films], [film.group for film in plan.films]
        mark_validation(parts, labels, groups, config.data.validation, config.data.split_seed)
    return Cohort(plan.films, plan.labels, load_films(plan.films, config.preprocess, console)[1], parts)


def _identity(
    config: Configuration, plan: Plan, members: Sequence[Member], parts: Sequence[NDArray[np.str_]]
) -> Identity:
    by_repeat = [
        [sides for member, sides in zip(members, parts, strict=True) if member.repeat == repeat]
        for repeat in range(len(plan.fold))
    ]
    return of_training("a cross-validation", config, plan.films, plan.labels) | {
        "folds": of_folds(plan.fold, by_repeat)
    }


def _train_all(
    config: Configuration,
    members: Sequence[Member],
    cohorts: Sequence[Cohort],
    threads: int,
    executor: Executor,
    console: Console,
) -> None:
    """Train every member without predictions; the first failure stops the others, finished ones stay."""
    epochs = config.optimisation.epochs
    with (
        executor as pool,
        ProgressBar(*ProgressBar.get_default_columns()[:2], TextColumn("{task.completed}/{task.total} epochs"),
                    TimeElapsedColumn(), TimeRemainingColumn(), console=console) as bar,
    ):  # fmt: skip
        task = bar.add_task(f"{len(members)} folds", total=epochs * len(members))
        waiting = {
            pool.submit(train_member, config, member, cohort, threads)
            for member, cohort in zip(members, cohorts, strict=True)
        }
        try:
            while waiting:
                done, waiting = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
                for future in done:
                    future.result()
                bar.update(task, completed=sum(_epochs_done(member, epochs) for member in members))
        except BaseException:  # Ctrl-C too: a fold that already runs would train on to its end
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


def _end_with_parent() -> None:
    """End this worker when its parent is killed: else a restarted run would train beside it, in the same folder."""
    parent = parent_process()
    assert parent is not None  # noqa: S101 - only workers run this

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _epochs_done(member: Member, epochs: int) -> int:
    """Finished epochs, for the progress bar; a finished fold counts in full, even if it stopped early."""
    if (member.folder / ANSWERS_FILE).exists():
        return epochs
    log = member.folder / "log.csv"
    return max(0, len(log.read_text().splitlines()) - 1) if log.exists() else 0


def _gather(plan: Plan, members: Sequence[Member]) -> Predictions:
    repeats, count = plan.fold.shape
    logits = np.full((repeats, count, len(plan.labels)), np.nan)
    t_score = np.full((repeats, count), np.nan)
    for member in members:
        chosen = plan.fold[member.repeat] == member.fold
        logits[member.repeat, chosen], t_score[member.repeat, chosen] = read_answers(member)
    return Predictions(plan.labels, plan.films, plan.fold, logits, t_score)


def write_facts(path: Path, **facts: object) -> None:
    """Write a run's facts (`run.json`), whole or not at all."""
    facts |= {"written": time.strftime("%Y-%m-%d")}
    write_text(path, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
