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
from osteolens.card import Card, Evaluation, TrainingData, file_sha256, load_card
from osteolens.datasets.folds import PARTS, Part
from osteolens.evaluation import baselines
from osteolens.evaluation.baselines import Answer
from osteolens.evaluation.metrics import RESAMPLES, Scored, with_intervals
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions
from osteolens.files import whole, write_text
from osteolens.inference.calibration import softmax
from osteolens.models import KneeModel
from osteolens.training.cohort import Cohort
from osteolens.training.config import Configuration
from osteolens.training.engine import predict
from osteolens.training.optimise import Precision

MODEL_FOLDER = "model"
_NAME_WIDTH, _FIGURE_WIDTH = 28, 25
"""Characters of the columns of the printed tables, borders counted: `-0.123 [-0.123, -0.123]` and its frame."""
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

    Writes `model/{weights.safetensors,card.json}`, `split.csv`, `predictions.csv` (of that part, see
    `osteolens.evaluation.predictions`) and `metrics.json`. The figures are those of the written fp16 weights, read back
    as a user would.

    Args:
        out: The run's folder.
        config: The run's configuration.
        name: The model's name in its card.
        model: Holds the best weights.
        cohort: All films.
        part: `test`; or `validation` for a trial, and then the test films are not predicted at all.
        device: Where to predict.
    """
    folder = save_model(out, config, name, model, cohort)
    shown = cohort.among(*PARTS[: PARTS.index(part) + 1])
    logits, t_scores = answers_of(folder, shown, config, device)
    answer = softmax(logits), t_scores
    chosen = shown.parts == part
    asked = shown.among(part)
    fold = np.zeros((1, len(asked.films)), np.int64)
    Predictions(shown.labels, asked.films, fold, logits[None, chosen], t_scores[None, chosen]).write(
        out / PREDICTIONS_FILE
    )
    _write_rows(
        out / "split.csv",
        ("file", "group", "label", "part"),
        ((film.file, film.group, film.label, str(side)) for film, side in zip(cohort.films, cohort.parts, strict=True)),
    )
    evaluations = _evaluate(config, name, shown, answer, part)
    card = load_card(folder).model_copy(update={"evaluations": evaluations})
    card.save(folder)
    figures = [evaluation.model_dump(mode="json") for evaluation in evaluations]
    write_text(out / "metrics.json", json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    return card


def show(card: Card, protocol: str, console: Console) -> None:
    """Print the card's figures side by side, in as many tables as the console's width needs."""
    first, together = card.evaluations[0], max(1, (console.width - _NAME_WIDTH) // _FIGURE_WIDTH)
    console.print(f"{first.films} films of {first.groups} groups")
    for start in range(0, len(card.evaluations), together):
        console.print(_figures(card.evaluations[start : start + together]))
    console.print(f"{protocol}; {INTERVALS}")


def _figures(evaluations: Sequence[Evaluation]) -> Table:
    """One column per evaluation; names are wrapped where there is no room, and never cut."""
    table = Table()
    table.add_column("figure", overflow="fold")
    for evaluation in evaluations:
        table.add_column(evaluation.subject, justify="right", overflow="fold", min_width=_FIGURE_WIDTH - 3)
    cells = [{metric.name: metric for metric in evaluation.metrics} for evaluation in evaluations]
    for name in dict.fromkeys(name for column in cells for name in column):
        metrics = [column.get(name) for column in cells]
        table.add_row(name, *(f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]" if m else "-" for m in metrics))
    return table


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


def save_model(out: Path, config: Configuration, name: str, model: KneeModel, cohort: Cohort) -> Path:
    """Write `model/{weights.safetensors,card.json}` into a run's folder and return that folder."""
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
    return folder


def answers_of(folder: Path, cohort: Cohort, config: Configuration, device: torch.device) -> Answer:
    """What a model folder says about all films: logits float64 [N, K] and T-scores float64 [N]."""
    model, _ = models.load(folder)
    pictures = torch.from_numpy(cohort.pictures)
    precision = Precision(device, torch.float32)
    logits, t_scores = predict(model.to(device), pictures, config.optimisation.batch_size, precision)
    return logits.double().numpy(), t_scores.double().numpy()


def _evaluate(config: Configuration, name: str, shown: Cohort, answer: Answer, part: Part) -> tuple[Evaluation, ...]:
    """Model and baselines on the same films; baselines may learn from all other films shown."""
    asked, earlier = shown.among(part), shown.among(*PARTS[: PARTS.index(part)])
    chosen = shown.parts == part
    probabilities, t_scores = answer
    balanced = config.optimisation.class_weights == "balanced"
    how = f"fitted on the {' and '.join(PARTS[: PARTS.index(part)])} groups, classes weighted as for the model"
    regressions = {
        "file format": ("the format family of the file", baselines.file_format),
        "age and sex": ("age and sex", baselines.age_and_sex),
        "age, sex, weight and height": ("age, sex, weight and height", baselines.age_sex_weight_and_height),
    }
    answers: dict[str, tuple[str, Answer | None]] = {
        f"{name} (image alone)": (
            "trained on the training groups, epoch chosen on the validation groups",
            (probabilities[chosen], t_scores[chosen]),
        ),
        "baseline: majority class": (
            "the shares of classes and the mean T-score of the training groups",
            baselines.majority(shown.among("train").films, asked.films, shown.labels),
        ),
    }
    for kind, (inputs, baseline) in regressions.items():
        found = baseline(earlier.films, asked.films, shown.labels, balanced=balanced)
        answers[f"baseline: {kind}"] = (f"regression on {inputs}, {how}", found)
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


def _write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with whole(path) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
