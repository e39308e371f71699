"""What a study will run and how long, written before anything runs; times come from a few films and steps."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from osteolens.audit.pictures import look
from osteolens.datasets.films import Film, prepare_film, shipped_finder
from osteolens.training.cohort import Cohort
from osteolens.training.config import Configuration
from osteolens.training.engine import train_one_epoch
from osteolens.training.fit import build_learner
from osteolens.training.optimise import choose_precision
from osteolens.training.outcome import parts_of_folds
from osteolens.training.plan import Plan

PLAN_FILE = "plan.md"
_TIMED_FILMS, _TIMED_STEPS = 3, 2
_AUDIT_SHARE = 3.0
"""An audit takes about so many times as long as looking at its pictures: 472 films took 49 s, 17 of them for that."""
_MATCHING, _REPORT, _EXPORT, _ARCHIVE = 5.0, 30.0, 60.0, 10.0
"""Seconds that other steps take on two cores, whatever the films."""


@dataclass(frozen=True)
class Step:
    """One part of a study.

    Attributes:
        name: As `--out` has its folder or file.
        work: What it does, in a sentence.
        leaves: What it leaves in the study's folder.
        seconds: About how long it takes.
    """

    name: str
    work: str
    leaves: str
    seconds: float


def steps(config: Configuration, plan: Plan, *, ensemble: bool) -> list[Step]:
    """All steps with their times, measured on the first films and on two steps of training."""
    films, out = plan.films, Path()
    count, models = len(films), len(plan.members(out))
    folds = len(np.unique(plan.fold[0]))
    looking, pictures = _time_looking(films[:_TIMED_FILMS]), _prepared(config, films)
    epoch = _time_epoch(config, plan, pictures)
    # Each fold trains on the films of the others; the model to ship on all.
    training = epoch * config.optimisation.epochs * (models * (1 - 1 / folds) + (0 if ensemble else 1))
    shipped = "the folds' models together" if ensemble else "one more on all films"
    return [
        Step(
            "audit",
            "looks for leaks, copies and shortcuts, and stops at a leak",
            "audit/",
            looking * count * _AUDIT_SHARE + _MATCHING,
        ),
        Step(
            "cross-validation",
            f"trains {models} models for at most {config.optimisation.epochs} epochs, and {shipped}",
            "run/, run/model/",
            looking * count + training,
        ),
        Step("report", "computes all figures with intervals, and draws the page", "run/report.html", _REPORT),
        Step("export", "writes the model's graph, and compares it with the model", "exports/", _EXPORT),
        Step("parity", "compares the graph with the model on films of the table", "parity.json", 10.0),
        Step("archive", "packs what the server loads", "model_store/", _ARCHIVE),
    ]


def page(source: Path, config: Configuration, plan: Plan, todo: list[Step], done: set[str]) -> str:
    """The text of `plan.md`."""
    films, groups = plan.films, {film.group for film in plan.films}
    counts = Counter(film.label for film in films)
    listed = ", ".join(f"{label}: {counts[label]}" for label in plan.labels)
    rows = [
        f"| {number} | {step.name} | {step.work} | `{step.leaves}` | "
        f"{'done' if step.name in done else duration(step.seconds)} |"
        for number, step in enumerate(todo, 1)
    ]
    left = sum(step.seconds for step in todo if step.name not in done)
    parts = parts_of_folds(films, plan.labels, plan.fold, config.optimisation.t_score_weight)
    return "\n".join(
        [
            f"# Study of {source.name}",
            "",
            f"{len(films)} films of {len(groups)} groups ({listed}).",
            f"{len(np.unique(plan.fold[0]))} folds by group, shuffled {len(plan.fold)} times. {parts}",
            f"Architecture {config.model.architecture}, {config.preprocess.height} x {config.preprocess.width} pixels.",
            "",
            "| | step | what it does | leaves | about |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"About {duration(left)} in all, by a few films and steps on this machine; training may stop early.",
            "The same command goes on where it stopped.",
            "",
        ]
    )


def duration(seconds: float) -> str:
    """Such as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _time_looking(films: Sequence[Film]) -> float:
    """Seconds to read one film and find its features."""
    started = time.monotonic()
    for film in films:
        look(film.path, 200)
    return (time.monotonic() - started) / len(films)


def _prepared(config: Configuration, films: Sequence[Film]) -> NDArray[np.uint8]:
    """The first film over and over, as many as there are in a batch."""
    array = prepare_film(films[0], config.preprocess, shipped_finder(config.preprocess)).array
    return np.repeat(array[None], min(len(films), config.optimisation.batch_size), axis=0)


def _time_epoch(config: Configuration, plan: Plan, pictures: NDArray[np.uint8]) -> float:
    """Seconds for an epoch over all films, from the second of two steps: the first one sets things up."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # All films: the weights of the labels come from how many films have them.
    cohort = Cohort(plan.films, plan.labels, pictures, np.full(len(plan.films), "train"))
    learner = build_learner(config, cohort, choose_precision(config.run.precision, device))
    size, times = config.optimisation.batch_size, [time.monotonic()]
    batch = (
        torch.from_numpy(pictures),
        torch.from_numpy(cohort.truth[:size]),
        torch.from_numpy(cohort.measured[:size]).float(),
    )
    train_one_epoch(learner, [batch] * _TIMED_STEPS, 0, lambda _: times.append(time.monotonic()))
    return (times[-1] - times[-2]) * len(plan.films) / len(batch[0])
