"""Results of the poster's protocols: figures, sentences, a table and a page from the folds' predictions."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.table import Table

from osteolens import __version__
from osteolens.card import Metric
from osteolens.evaluation.measures import accuracy, balanced_accuracy
from osteolens.evaluation.metrics import RESAMPLES, draw, sample
from osteolens.files import write_text
from osteolens.reports.pages import render
from osteolens.training.config import Configuration
from poster.published import COPY_SIZE, FOLDS, ORDER, Picture, Protocol, leaks

Floats = NDArray[np.float64]
STATED = {"EfficientNet": 0.954, "YOLOv5": 0.83}
STATED_EPOCHS = 150
"""Figures and epochs that the poster states."""
UNUSED = {"model": {"architecture"}, "data": {"skip", "held_out", "validation", "test"}, "optimisation": {"patience"}}
"""Settings that come from elsewhere, or that folds without validation films do not need."""
INTERVALS = f"95 % percentile intervals from {RESAMPLES} bootstrap resamples of groups"


class Result(BaseModel):
    """One architecture under one protocol."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: str
    title: str
    architecture: str
    classes: int
    films: int
    groups: int
    accuracy: Metric = Field(description="mean over folds")
    balanced_accuracy: Metric = Field(description="over the films of all folds together")
    majority: float = Field(description="accuracy of always answering the most frequent label")
    last_epoch: float = Field(description="mean over folds of the accuracy after the last epoch")
    epoch: str = Field(description="which epoch was scored")
    chosen_epochs: tuple[int, ...] = Field(description="per fold, counted from 1")
    fold_accuracies: tuple[float, ...]
    epochs: int
    height: int
    width: int
    same_picture: float = Field(description="share of tested films with a version among the training films")
    same_group: float = Field(description="share of tested films with another picture of their group there")


def accuracies(logits: Floats, truth: NDArray[np.int64]) -> Floats:
    """Accuracy after each epoch: logits [E, n, K] and labels int64 [n] -> [E]."""
    return np.asarray((logits.argmax(axis=2) == truth).mean(axis=1))


def score(protocol: Protocol, config: Configuration, outputs: Sequence[Floats]) -> Result:
    """Compute the figures of one architecture under one protocol.

    Args:
        protocol: Films and folds.
        config: Configuration of the folds' training.
        outputs: Per fold, logits [E, n, K] of the films tested with it.
    """
    cohort = protocol.cohort
    truths = [cohort.truth[protocol.fold == fold] for fold in range(FOLDS)]
    reached = [accuracies(logits, truth) for logits, truth in zip(outputs, truths, strict=True)]
    chosen = [int(values.argmax()) if protocol.best_epoch else len(values) - 1 for values in reached]
    epochs = config.optimisation.epochs
    predicted = np.empty(len(cohort.films), np.int64)
    for fold, (logits, epoch) in enumerate(zip(outputs, chosen, strict=True)):
        predicted[protocol.fold == fold] = logits[epoch].argmax(axis=1)
    draws = draw(cohort.groups, RESAMPLES, config.run.seed)
    metrics = sample(lambda weights: _figures(protocol, predicted, weights), draws).metrics()
    figures = {metric.name: _rounded(metric) for metric in metrics}
    best = [float(values[epoch]) for values, epoch in zip(reached, chosen, strict=True)]
    same_picture, same_group = leaks(protocol)
    return Result(
        protocol=protocol.name,
        title=protocol.title,
        architecture=config.model.architecture,
        classes=len(cohort.labels),
        films=len(cohort.films),
        groups=len(set(cohort.groups)),
        accuracy=figures["accuracy"],
        balanced_accuracy=figures["balanced accuracy"],
        majority=_round(np.bincount(cohort.truth).max() / len(cohort.films)),
        last_epoch=_round(np.mean([values[-1] for values in reached])),
        epoch=f"best of {epochs} on the test films" if protocol.best_epoch else f"last of {epochs}",
        chosen_epochs=tuple(epoch + 1 if protocol.best_epoch else epochs for epoch in chosen),
        fold_accuracies=tuple(map(_round, best)),
        epochs=epochs,
        height=config.preprocess.height,
        width=config.preprocess.width,
        same_picture=_round(same_picture),
        same_group=_round(same_group),
    )


def sentences(results: Sequence[Result], pictures: Sequence[Picture]) -> list[str]:
    """Explain in five sentences, with the numbers of this run, why the figures differ."""
    poster, kaggle, film = (_of(results, name) for name in ("poster", "kaggle", "film"))
    first = poster[0]
    agreeing = ", and ".join(_agreement(pictures, label) for label in ("normal", "osteoporosis"))
    return [
        f"The poster's data set holds every picture twice, as published and as a small copy, and unshuffled folds put "
        f"the other version of {_percent(first.same_picture)} of the test pictures into the training set: such a "
        f"picture need only be recognised, not read.",
        f"Its folds ignore patients, so {_percent(first.same_group)} of the test pictures have another "
        f"picture of their patient in the training set; where none has, nor any copy, the accuracy on the same labels "
        f"is {_list(r.accuracy.value for r in kaggle)} instead of {_list(r.accuracy.value for r in poster)}.",
        f"The poster takes in each fold the best epoch on the very films that it reports: here this gives "
        f"{_list(r.accuracy.value for r in poster)}, and the last epoch {_list(r.last_epoch for r in poster)}.",
        f"Kaggle's labels are mostly not those of the films: {agreeing}; so even a right answer to them says little "
        f"about bone.",
        f"Trained on the films' own labels, with groups kept apart, the same networks reach an accuracy of "
        f"{_list(r.accuracy.value for r in film)} where always answering the most frequent label gives "
        f"{_percent(film[0].majority)}, and a balanced accuracy of "
        f"{_list(r.balanced_accuracy.value for r in film)} where guessing gives {_percent(1 / film[0].classes)}.",
    ]


def describe(results: Sequence[Result], pictures: Sequence[Picture], config: Configuration) -> dict[str, Any]:
    """Content of `poster.json`: results, sentences and settings."""
    start = "pretrained" if config.model.pretrained else "random"
    return {
        "about": "The figures of a student poster reproduced, beside figures on the same pictures without leaks.",
        "results": [result.model_dump(mode="json") for result in results],
        "sentences": sentences(results, pictures),
        "stated by the poster": STATED,
        "settings": {
            "folds": FOLDS,
            "small copy": "{} wide, {} high".format(*COPY_SIZE),
            "order of the poster's list (assumed)": ORDER,
            "loading (assumed)": "every picture is squeezed into the input, whatever its shape",
            "pictures": len(pictures),
            "published files": sum(len(picture.published) for picture in pictures),
            "pictures published under two labels": sum(len(picture.kaggle) > 1 for picture in pictures),
            "films' own labels": "pictures whose film has one label, each once",
            "epochs": f"{config.optimisation.epochs} from {start} weights; the poster: {STATED_EPOCHS}",
            "intervals": INTERVALS,
            "configuration": config.model_dump(mode="json", exclude=UNUSED),
        },
    }


def write_page(path: Path, results: Sequence[Result], document: Mapping[str, Any]) -> None:
    """Write the page, one HTML file."""
    write_text(path, render("poster.html", version=__version__, results=results, document=document))


def show(results: Sequence[Result], console: Console) -> None:
    """Print a line per result, and below them what all lines share, so that the table is narrow."""
    titles = dict.fromkeys(f"{result.protocol}: {result.title}; epoch: {result.epoch}" for result in results)
    first = results[0]
    shared = f"Input {first.height} x {first.width} pixels; {INTERVALS}"
    table = Table(caption="\n".join([*titles, shared]), caption_justify="left", box=None, padding=(0, 1, 0, 0))
    for column in ("protocol", "architecture"):
        table.add_column(column, overflow="fold")
    for column in ("films", "accuracy", "balanced\naccuracy", "majority\nclass"):
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        figures = (_interval(result.accuracy), _interval(result.balanced_accuracy), f"{100 * result.majority:.1f}")
        table.add_row(result.protocol, result.architecture, str(result.films), *figures)
    console.print(table)


def _figures(protocol: Protocol, predicted: NDArray[np.int64], weights: Floats) -> dict[str, Floats]:
    """Figures of predicted labels int64 [N], with films weighted by [R, N]: [R] each."""
    truth, classes = protocol.cohort.truth, len(protocol.cohort.labels)
    cells = np.eye(classes**2)[truth * classes + predicted]
    members = [protocol.fold == fold for fold in range(FOLDS)]
    folds = [(weights[:, own] @ cells[own]).reshape(-1, classes, classes) for own in members]
    return {
        "accuracy": np.mean([accuracy(confusion) for confusion in folds], axis=0),
        "balanced accuracy": balanced_accuracy(np.sum(folds, axis=0)),
    }


def _of(results: Sequence[Result], protocol: str) -> list[Result]:
    return [result for result in results if result.protocol == protocol]


def _agreement(pictures: Sequence[Picture], label: str) -> str:
    named = [picture for picture in pictures if label in picture.kaggle]
    right = sum(picture.source == (label,) for picture in named)
    return f"of {len(named)} pictures published as {label}, {right} show a film whose own label is that alone"


def _list(values: Iterable[float]) -> str:
    return " and ".join(map(_percent, values))


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _interval(metric: Metric) -> str:
    """Value and interval in per cent."""
    return f"{100 * metric.value:.1f} ({100 * metric.low:.1f}-{100 * metric.high:.1f})"


def _rounded(metric: Metric) -> Metric:
    return Metric(name=metric.name, value=_round(metric.value), low=_round(metric.low), high=_round(metric.high))


def _round(value: float | np.floating[Any]) -> float:
    return round(float(value), 6)
