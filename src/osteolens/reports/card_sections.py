"""The sections of MODEL_CARD.md that are about one model, each as Markdown; one without content is empty."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from osteolens.card import Card, file_sha256
from osteolens.datasets.films import Film
from osteolens.evaluation.evidence import Evidence
from osteolens.evaluation.predictions import PREDICTIONS_FILE
from osteolens.evaluation.predictors import IMAGE
from osteolens.evaluation.run_folder import RunFolder
from osteolens.inference.calibration import describe_parameters
from osteolens.reports.charts import confusion
from osteolens.reports.wording import verdicts

WORST = 5
_SETTINGS = ("model", "preprocess", "augment", "optimisation", "run")


@dataclass(frozen=True)
class Model:
    """A shipped model.

    Attributes:
        card: Beside its weights.
        run: Its folder in evidence/, if there is one.
        evidence: Computed again from the predictions there.
    """

    card: Card
    run: RunFolder | None
    evidence: Evidence | None


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def without_empty(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns in which there are only dashes."""
    kept = [index for index in range(len(columns)) if any(row[index] != "-" for row in rows)]
    return table([columns[index] for index in kept], [[row[index] for index in kept] for row in rows])


def verdict(model: Model) -> str:
    """The page's verdict."""
    if model.evidence is None or model.run is None:
        return ""
    said = verdicts(model.evidence, model.run.maps)
    return "### In plain words\n" + "\n".join(f"- **{one.question} {one.answer}.** {one.reason}" for one in said)


def films(model: Model) -> str:
    """Who the films are of, by label."""
    if model.run is None:
        return ""
    predictions = model.run.predictions
    rows = [_films_row(label, [f for f in predictions.films if f.label == label]) for label in predictions.labels]
    rows.append(_films_row("all", predictions.films))
    columns = ("label", "films", "groups", "median age (youngest to oldest)", "female", "mean T-score")
    return f"### Films\n{without_empty(columns, rows)}"


def partitions(model: Model) -> str:
    """How films were kept apart."""
    data = model.card.data
    counts = ", ".join(f"{count} {part} ({data.groups[part]} groups)" for part, count in data.films.items())
    apart = "No group is ever on two sides; every figure below is about films that the answering model had not seen."
    return f"### Partitions\n{_sentence(data.split)} {_sentence(counts)} {apart}"


def training(model: Model) -> str:
    """What the model is and how it came about."""
    card, facts = model.card, model.run.facts if model.run else {}
    spec = card.preprocess
    members = f" of {', '.join(f'`{member}`' for member in card.members)}" if card.members else ""
    seconds = facts.get("seconds")
    rows = [
        ("architecture", f"`{card.architecture}`{members}; {spec.height} x {spec.width} pixels, one grey channel"),
        ("answers", f"{', '.join(card.labels)}{'; T-score' if card.has_t_score else ''}"),
        ("trained on", f"{card.data.name} ({card.data.source}; {card.data.licence})"),
        *((name, meaning) for name, meaning in describe_parameters(card)),
        ("time to train", f"{seconds / 60:.0f} minutes, all folds" if seconds else ""),
        ("software", ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items())),
        ("stored predictions", _stored(model.run) if model.run else ""),
        ("licence of the weights", card.licence),
        ("sha256 of the weights", f"`{card.weights_sha256}`"),
    ]
    text = f"### Model and training\n{table(['', ''], [row for row in rows if row[1]])}"
    settings = {part: facts.get("configuration", {}).get(part) for part in _SETTINGS}
    if all(settings.values()):
        text += "\n\nSettings (`src/osteolens/training/config.py` says what each means):\n\n"
        text += f"```json\n{_compact(settings)}\n```"
    return text


def failures(model: Model) -> str:
    """Which labels are taken for which, and the films on which the image is most surely wrong."""
    if model.evidence is None:
        return ""
    evidence, labels = model.evidence, model.card.labels
    image = next(predictor for predictor in evidence.predictors if predictor.name == IMAGE)
    counts = confusion(evidence, image)
    rows = [[label, *(f"{count:.4g}" for count in row)] for label, row in zip(labels, counts, strict=True)]
    said = image.probabilities.mean(axis=0)
    truth, given = evidence.predictions.truth, said.argmax(axis=1)
    films = evidence.predictions.films
    wrong = [int(row) for row in np.flatnonzero(given != truth)]
    wrong.sort(key=lambda row: (-said[row].max(), films[row].file))
    surest = [
        [
            f"`{films[row].file}`",
            films[row].label,
            _number(films[row].t_score),
            labels[given[row]],
            f"{said[row].max():.2f}",
        ]
        for row in wrong[:WORST]
    ]
    text = "### Where it fails\nThe image alone, films by true label (rows) and answer, mean over repeats:\n\n"
    text += table(["", *labels], rows)
    if surest:
        columns = ("film", "label", "T-score", "answer", "probability")
        text += f"\n\nThe films on which it is most surely wrong:\n\n{without_empty(columns, surest)}"
    return text


def _stored(run: RunFolder) -> str:
    """So that no number of the table can change without this page."""
    path = run.folder / PREDICTIONS_FILE
    return f"`evidence/{run.folder.name}/{PREDICTIONS_FILE}`, sha256 `{file_sha256(path)}`"


def _films_row(label: str, chosen: Sequence[Film]) -> list[str]:
    ages = [film.age for film in chosen if math.isfinite(film.age)]
    sexes = [film.sex for film in chosen if film.sex]
    measured = [film.t_score for film in chosen if math.isfinite(film.t_score)]
    return [
        label,
        str(len(chosen)),
        str(len({film.group for film in chosen})),
        f"{median(ages):.0f} ({min(ages):.0f} to {max(ages):.0f})" if ages else "-",
        f"{sexes.count('female') / len(sexes):.0%}" if sexes else "-",
        f"{sum(measured) / len(measured):.2f}" if measured else "-",
    ]


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _compact(settings: dict[str, object]) -> str:
    """JSON with one line per section."""
    return "{\n" + ",\n".join(f'  "{name}": {json.dumps(value)}' for name, value in settings.items()) + "\n}"
