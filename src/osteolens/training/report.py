"""What a run leaves as evidence: the model folder with its card, every prediction, every figure."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from osteolens import models
from osteolens.card import Card, Evaluation, TrainingData, file_sha256
from osteolens.models import KneeModel
from osteolens.training import baselines
from osteolens.training.baselines import Answer
from osteolens.training.cohort import Cohort
from osteolens.training.config import Configuration
from osteolens.training.engine import predict
from osteolens.training.folds import PARTS, Part
from osteolens.training.metrics import RESAMPLES, Scored, with_intervals
from osteolens.training.optimise import Precision

MODEL_FOLDER = "model"
SPLIT = "by group, stratified by label, split seed {seed}; no group is in two parts"
PROTOCOLS: dict[Part, str] = {
    "test": "scored on held-out groups, which chose nothing",
    "validation": "a trial: scored on the validation groups, which also chose the epoch: the figures flatter the model",
}
INTERVALS = f"95 % percentile intervals from {RESAMPLES} bootstrap resamples of groups"


def write_report(
    out: Path, config: Configuration, name: str, model: KneeModel, cohort: Cohort, part: Part, device: torch.device
) -> Card:
    """Write the model folder, score what it holds on one part of the films, and write that down.

    Writes `model/{weights.safetensors,card.json}`, `split.csv`, `predictions.csv` and `metrics.json`. The
    figures are those of the written fp16 weights, read back as a user would.

    Args:
        out: The run's folder.
        config: The run's configuration.
        name: The model's name in its card.
        model: Holds the best weights.
        cohort: All films.
        part: `test`; or `validation` for a trial, and then the test films are not predicted at all.
        device: Where to predict.
    """
    folder = out / MODEL_FOLDER
    folder.mkdir(exist_ok=True)
    card = Card(
        name=name,
        architecture=config.model.architecture,
        labels=cohort.labels,
        has_t_score=model.has_t_score,
        preprocess=config.preprocess,
        weights_sha256=file_sha256(models.save_weights(model, folder)),
        data=_training_data(config, cohort),
    )
    card.save(folder)

    shown = cohort.among(*PARTS[: PARTS.index(part) + 1])
    answer = _answer(folder, shown, config, device)
    _write_predictions(out / "predictions.csv", shown, answer)
    _write_rows(
        out / "split.csv",
        ("file", "group", "label", "part"),
        ((film.file, film.group, film.label, str(side)) for film, side in zip(cohort.films, cohort.parts, strict=True)),
    )
    evaluations = _evaluate(name, shown, answer, part)
    card = card.model_copy(update={"evaluations": evaluations})
    card.save(folder)
    figures = [evaluation.model_dump(mode="json") for evaluation in evaluations]
    (out / "metrics.json").write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    return card


def show(card: Card, part: Part, console: Console) -> None:
    """Print the card's figures side by side."""
    first = card.evaluations[0]
    table = Table(title=f"{first.films} films of {first.groups} groups", caption=f"{PROTOCOLS[part]}; {INTERVALS}")
    table.add_column("figure", no_wrap=True)
    for evaluation in card.evaluations:
        table.add_column(evaluation.subject, justify="right")
    cells = [{metric.name: metric for metric in evaluation.metrics} for evaluation in card.evaluations]
    for name in dict.fromkeys(name for column in cells for name in column):
        found = [column.get(name) for column in cells]
        table.add_row(name, *(f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]" if m else "-" for m in found))
    console.print(table)


def _training_data(config: Configuration, cohort: Cohort) -> TrainingData:
    members = {part: cohort.among(part) for part in PARTS}
    return TrainingData(
        name=config.dataset.name,
        source=config.dataset.source,
        licence=config.dataset.licence,
        split=SPLIT.format(seed=config.data.split_seed),
        films={part: len(side.films) for part, side in members.items()},
        groups={part: len(set(side.groups)) for part, side in members.items()},
    )


def _answer(folder: Path, cohort: Cohort, config: Configuration, device: torch.device) -> Answer:
    """What the model folder says about all films."""
    model, _ = models.load(folder)
    pictures = torch.from_numpy(cohort.pictures)
    precision = Precision(device, torch.float32)
    logits, t_scores = predict(model.to(device), pictures, config.optimisation.batch_size, precision)
    return logits.double().softmax(dim=1).numpy(), t_scores.double().numpy()


def _evaluate(name: str, shown: Cohort, answer: Answer, part: Part) -> tuple[Evaluation, ...]:
    """Model and baselines on the same films; baselines may learn from all other films shown."""
    asked, earlier = shown.among(part), shown.among(*PARTS[: PARTS.index(part)])
    chosen = shown.parts == part
    probabilities, t_scores = answer
    answers = {
        f"{name} (image alone)": (
            "trained on the training groups, epoch chosen on the validation groups",
            (probabilities[chosen], t_scores[chosen]),
        ),
        "baseline: majority class": (
            "the shares of classes and the mean T-score of the training groups",
            baselines.majority(shown.among("train").films, asked.films, shown.labels),
        ),
        "baseline: age and sex": (
            f"logistic and linear regression, fitted on the {' and '.join(PARTS[: PARTS.index(part)])} groups",
            baselines.age_and_sex(earlier.films, asked.films, shown.labels),
        ),
    }
    groups = asked.groups
    return tuple(
        Evaluation(
            subject=subject,
            protocol=f"{how}; {PROTOCOLS[part]}; {INTERVALS}",
            films=len(groups),
            groups=len(set(groups)),
            metrics=with_intervals(Scored(shown.labels, groups, asked.truth, found[0], asked.measured, found[1])),
        )
        for subject, (how, found) in answers.items()
        if found is not None
    )


def _write_predictions(path: Path, cohort: Cohort, answer: Answer) -> None:
    columns = ("file", "part", "group", "label", *(f"probability_{label}" for label in cohort.labels))
    rows = (
        (
            film.file,
            str(part),
            film.group,
            film.label,
            *_cells(*probabilities, film.t_score, t_score),
        )
        for film, part, probabilities, t_score in zip(cohort.films, cohort.parts, *answer, strict=True)
    )
    _write_rows(path, (*columns, "t_score_measured", "t_score"), rows)


def _cells(*values: float) -> tuple[str, ...]:
    """Numbers as text; NaN as an empty cell."""
    return tuple("" if np.isnan(value) else f"{value:.5f}" for value in values)


def _write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
