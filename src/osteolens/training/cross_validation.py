"""Cross-validation by group: a model per fold, and for every film the answer of the model that never saw it.

Each fold is a run of its own in `r<repeat>f<fold>/`, in a process of its own, and can be killed and go on. A
finished fold leaves `answers.json` and is not done again.
"""

import csv
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import TextColumn, TimeElapsedColumn, TimeRemainingColumn

from osteolens.errors import DataError
from osteolens.training.cohort import Cohort
from osteolens.training.config import Configuration
from osteolens.training.data import Film, label_order, load_pictures, read_films
from osteolens.training.folds import assign_folds, mark_validation
from osteolens.training.member import ANSWERS_FILE, Member, read_answers, train_member
from osteolens.training.table import PREDICTIONS_FILE, Predictions

FOLDS_FILE = "folds.csv"
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Plan:
    """Who is tested when.

    Attributes:
        films: N of them.
        labels: K, in order of severity.
        fold: int64 [R, N].
    """

    films: Sequence[Film]
    labels: tuple[str, ...]
    fold: NDArray[np.int64]

    def write(self, path: Path) -> None:
        """One row per film: file, group, label, and its fold in each repeat."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["file", "group", "label", *(f"repeat_{repeat}" for repeat in range(len(self.fold)))])
            for index, film in enumerate(self.films):
                writer.writerow([film.file, film.group, film.label, *self.fold[:, index]])


def plan(config: Configuration, source: Path, *, folds: int, repeats: int, table: Path | None, by_source: bool) -> Plan:
    """Decide the folds.

    Args:
        config: Its `data` section says which rows are used; `data.split_seed` seeds the first repeat.
        source: The data set, see `osteolens.training.data.read_films`.
        folds: How many, each with the same mix of labels.
        repeats: How many times all films are dealt anew.
        table: A fold table written before; it takes the place of `folds` and `repeats`.
        by_source: One fold per source: each place is tested by models that never saw it.

    Raises:
        DataError: The data set is wrong, a label has fewer groups than folds, or the fold table does not fit it.
    """
    films = read_films(source, config.data.skip, labels=config.data.labels)
    labels = label_order(films, config.data.labels)
    if table is not None:
        return Plan(films, labels, _read_folds(table, films))
    if by_source:
        return Plan(films, labels, _folds_by_source(films)[None])
    names, groups = [film.label for film in films], [film.group for film in films]
    seeds = range(config.data.split_seed, config.data.split_seed + repeats)
    return Plan(films, labels, np.stack([assign_folds(names, groups, folds, seed) for seed in seeds]))


def cross_validate(
    config: Configuration, plan: Plan, out: Path, *, jobs: int, console: Console, executor: Executor | None = None
) -> Predictions:
    """Train what is left to train and put all answers into one table, `predictions.csv`.

    Args:
        config: All settings; each fold gets a seed of its own, derived from `run.seed`.
        plan: The folds.
        out: The run's folder.
        jobs: Folds trained at a time, each in a process with its share of the processor's cores.
        console: Where progress goes; each fold writes its own to `train.txt` in its folder.
        executor: Trains the folds, each with as many threads; default: `jobs` processes of this machine.

    Raises:
        DataError: Pictures are wrong, or `out` holds a different run.
        TrainingError: A loss is not finite.
    """
    pictures = load_pictures(plan.films, config.preprocess, console)
    out.mkdir(parents=True, exist_ok=True)
    plan.write(out / FOLDS_FILE)
    members = [
        Member(out / f"r{repeat}f{fold}", repeat, int(fold))
        for repeat, row in enumerate(plan.fold)
        for fold in np.unique(row)
    ]
    cohorts = [_cohort(config, plan, pictures, member) for member in members]
    executor = executor or ProcessPoolExecutor(jobs, get_context("spawn"), _end_with_parent)
    _train_all(config, members, cohorts, max(1, torch.get_num_threads() // jobs), executor, console)
    table = _gather(plan, members)
    table.write(out / PREDICTIONS_FILE)
    return table


def all_films(config: Configuration, plan: Plan, console: Console) -> Cohort:
    """Every film for training, but for the validation films where the configuration wants some."""
    parts = np.full(len(plan.films), "train", dtype="U10")
    if config.data.validation:
        labels, groups = [film.label for film in plan.films], [film.group for film in plan.films]
        mark_validation(parts, labels, groups, config.data.validation, config.data.split_seed)
    return Cohort(plan.films, plan.labels, load_pictures(plan.films, config.preprocess, console), parts)


def _cohort(config: Configuration, plan: Plan, pictures: NDArray[np.uint8], member: Member) -> Cohort:
    """All films with their parts as one fold sees them; validation films come from the other folds' groups."""
    row = plan.fold[member.repeat]
    parts = np.where(row == member.fold, "test", "train").astype("U10")
    if config.data.validation:
        labels, groups = [film.label for film in plan.films], [film.group for film in plan.films]
        left = float(np.mean(parts == "train"))
        mark_validation(parts, labels, groups, config.data.validation / left, config.data.split_seed + member.repeat)
    return Cohort(plan.films, plan.labels, pictures, parts)


def _train_all(
    config: Configuration,
    members: Sequence[Member],
    cohorts: Sequence[Cohort],
    threads: int,
    executor: Executor,
    console: Console,
) -> None:
    """Train every member that has no answers yet; the first failure stops the others, finished ones are kept."""
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
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


def _end_with_parent() -> None:
    """A worker whose parent was killed must not go on: a run that is started again would train beside it."""
    parent = parent_process()
    assert parent is not None  # noqa: S101 - only workers run this

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _epochs_done(member: Member, epochs: int) -> int:
    """For the progress bar: a finished fold counts in full, even if it stopped early."""
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


def _folds_by_source(films: Sequence[Film]) -> NDArray[np.int64]:
    sources = sorted({film.source for film in films})
    if len(sources) < 2 or "" in sources:
        raise DataError(
            "leaving one source out needs a column `source` with at least two names and none empty; "
            f"found {', '.join(repr(source) for source in sources)}"
        )
    return np.array([sources.index(film.source) for film in films], np.int64)


def _read_folds(table: Path, films: Sequence[Film]) -> NDArray[np.int64]:
    """int64 [R, N] from a fold table, matched by file."""
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            rows = {row["file"]: row for row in csv.DictReader(stream)}
        columns = [name for name in next(iter(rows.values())) if name.startswith("repeat_")]
        fold = np.array([[int(rows[film.file][name]) for film in films] for name in columns], np.int64)
    except (OSError, KeyError, ValueError, StopIteration, csv.Error) as error:
        raise DataError(f"the fold table {table} does not fit the films: {error!r}") from error
    if not columns or len(rows) != len(films):
        raise DataError(f"the fold table {table} has {len(rows)} films, the data set has {len(films)}")
    for row in fold:
        if len({(film.group, int(number)) for film, number in zip(films, row, strict=True)}) > len(
            {film.group for film in films}
        ):
            raise DataError(f"the fold table {table} has a group in two folds")
    return fold


def write_facts(path: Path, **facts: object) -> None:
    """Write a run's facts (`run.json`), whole or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(facts | {"written": time.strftime("%Y-%m-%d")}, indent=2, ensure_ascii=False) + "\n")
    draft.replace(path)
