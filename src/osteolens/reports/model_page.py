"""A model's page beside its weights, weights/NAME/README.md: what it is, on whose films, how well it does."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from osteolens.card import file_sha256
from osteolens.datasets.films import Film
from osteolens.evaluation.predictions import PREDICTIONS_FILE
from osteolens.evaluation.predictors import IMAGE
from osteolens.evaluation.run_folder import RunFolder
from osteolens.inference.calibration import describe_parameters
from osteolens.reports import model_figures
from osteolens.reports.charts import confusion
from osteolens.reports.figures import table, without_empty
from osteolens.reports.shipped import EVIDENCE, Model
from osteolens.reports.verdicts import verdicts
from osteolens.training.config import Configuration, load_configuration

CONFIGURATIONS = "train/configs"
WORST = 5
"""Wrong answers that are listed."""
_UNKNOWN = "CONFIG"
_SETTINGS = ("model", "preprocess", "augment", "optimisation", "run")


def page(root: Path, model: Model) -> str:
    """The text of the page.

    Args:
        root: The checkout: its `train/configs/` may hold the model's settings.
        model: A shipped model.
    """
    sections = (
        _head(model),
        _verdicts(model),
        _films(model),
        _partitions(model),
        _training(model),
        model_figures.evaluation(model),
        model_figures.calibration(model),
        model_figures.triage(model),
        model_figures.subgroups(model),
        model_figures.heat_maps(model),
        model_figures.quantisation(model),
        _failures(model),
        _reproduce(root, model),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(model: Model) -> str:
    title = f"# {'Positive control: ' if model.is_control else ''}`{model.card.name}` {model.card.version}"
    text = (
        "Research software, not a diagnostic device. `MODEL_CARD.md` says what the models are for, and their limits. "
        "`python train/model_card.py` writes this page from the card beside it and from the stored predictions. "
        "Figures come with their 95 % intervals."
    )
    if model.is_control:
        text += " This model shows whether the code can learn: its labels are known to be visible on radiographs."
    return f"{title}\n\n{text}"


def _verdicts(model: Model) -> str:
    if model.evidence is None or model.run is None:
        return ""
    lines = (f"- **{one.question} {one.answer}.** {one.reason}" for one in verdicts(model.evidence, model.run.maps))
    return "\n".join(["## In plain words", *lines])


def _films(model: Model) -> str:
    """The patients by label."""
    if model.run is None:
        return ""
    predictions = model.run.predictions
    rows = [_films_row(label, [f for f in predictions.films if f.label == label]) for label in predictions.labels]
    rows.append(_films_row("all", predictions.films))
    columns = ("label", "films", "groups", "median age (youngest to oldest)", "female", "mean T-score")
    return f"## Films\n{without_empty(columns, rows)}"


def _partitions(model: Model) -> str:
    """How films were kept apart."""
    data = model.card.data
    counts = ", ".join(f"{count} {part} ({data.groups[part]} groups)" for part, count in data.films.items())
    apart = "No group is ever on two sides. Every figure below is about films that the answering model had not seen."
    return f"## Partitions\n{_sentence(data.split)} {_sentence(counts)} {apart}"


def _training(model: Model) -> str:
    """What the model is and how it was trained."""
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
    text = f"## Model and training\n{table(['', ''], [row for row in rows if row[1]])}"
    settings = {part: facts.get("configuration", {}).get(part) for part in _SETTINGS}
    if all(settings.values()):
        text += "\n\nSettings (`src/osteolens/training/config.py` says what each means):\n\n"
        text += f"```json\n{_compact(settings)}\n```"
    return text


def _failures(model: Model) -> str:
    """The confusion matrix, and the wrong answers with the highest probability."""
    if model.evidence is None:
        return ""
    evidence, labels = model.evidence, model.card.labels
    image = next(predictor for predictor in evidence.predictors if predictor.name == IMAGE)
    counts = confusion(evidence, image)
    rows = [[label, *(f"{count:.4g}" for count in row)] for label, row in zip(labels, counts, strict=True)]
    probabilities = image.probabilities.mean(axis=0)
    answers, highest = probabilities.argmax(axis=1), probabilities.max(axis=1)
    films = evidence.predictions.films
    wrong = [int(row) for row in np.flatnonzero(answers != evidence.predictions.truth)]
    # By name where probabilities are equal, so that the page is the same on every machine.
    wrong.sort(key=lambda row: (-highest[row], films[row].file))
    surest = [
        [
            f"`{films[row].file}`",
            films[row].label,
            f"{films[row].t_score:.2f}" if math.isfinite(films[row].t_score) else "-",
            labels[answers[row]],
            f"{highest[row]:.2f}",
        ]
        for row in wrong[:WORST]
    ]
    text = "## Where it fails\nThe image alone; films by true label (rows) and answer (columns), mean over repeats:\n\n"
    text += table(["", *labels], rows)
    if surest:
        columns = ("film", "label", "T-score", "answer", "probability")
        text += f"\n\nThe wrong answers with the highest probability:\n\n{without_empty(columns, surest)}"
    return text


def _reproduce(root: Path, model: Model) -> str:
    """Commands from the films to this page."""
    name, facts = model.card.name, model.run.facts if model.run else {}
    crossed = facts.get("folds", 1) > 1
    script = "train/cross_validate.py" if crossed else "train/fit.py"
    options = f" --folds {facts['folds']} --repeats {facts['repeats']}" if crossed else ""
    options += " --ensemble" if facts.get("ensemble") else ""
    config = _settings_of(root, model)
    commands = (
        f"python {script} --config {config} --data films.csv --out runs/{name}{options}",
        f"python train/check_maps.py --run runs/{name} --data films.csv",
        f"python train/measure_peaks.py --model runs/{name}/model --run runs/{name} --data films.csv",
        f"osteolens report runs/{name} --data films.csv",
    )
    where = " CONFIG is a file with the settings above." if config == _UNKNOWN else ""
    return (
        f"## How to reproduce\n`films.csv` lists the films of {model.card.data.name}, with the columns that "
        f"`docs/training.md` names.{where} `runs/{name}/model` becomes `weights/{name}`; `predictions.csv`, `run.json` "
        f"and `maps.json` of the run become `evidence/{name}`; `python train/model_card.py` writes the pages.\n\n"
        "```\n" + "\n".join(commands) + "\n```"
    )


def _settings_of(root: Path, model: Model) -> str:
    """The file with a model's settings: those its run recorded, or else the only ones for its data set."""
    known = {
        path.relative_to(root).as_posix(): load_configuration(path)
        for path in sorted((root / CONFIGURATIONS).glob("*.toml"))
    }
    recorded = model.run.facts.get("configuration") if model.run else None
    if recorded:  # validated, so that a setting added since then has its default
        settings = Configuration.model_validate(recorded)
        return next((path for path, other in known.items() if other == settings), _UNKNOWN)
    fitting = [path for path, other in known.items() if other.dataset.name == model.card.data.name]
    return fitting[0] if len(fitting) == 1 else _UNKNOWN


def _stored(run: RunFolder) -> str:
    """The table's hash, so that no number in it can change without this page."""
    path = run.folder / PREDICTIONS_FILE
    return f"`{EVIDENCE}/{run.folder.name}/{PREDICTIONS_FILE}`, sha256 `{file_sha256(path)}`"


def _films_row(label: str, films: Sequence[Film]) -> list[str]:
    ages = [film.age for film in films if math.isfinite(film.age)]
    sexes = [film.sex for film in films if film.sex]
    measured = [film.t_score for film in films if math.isfinite(film.t_score)]
    return [
        label,
        str(len(films)),
        str(len({film.group for film in films})),
        f"{median(ages):.0f} ({min(ages):.0f} to {max(ages):.0f})" if ages else "-",
        f"{sexes.count('female') / len(sexes):.0%}" if sexes else "-",
        f"{sum(measured) / len(measured):.2f}" if measured else "-",
    ]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _compact(settings: dict[str, object]) -> str:
    """JSON with one line per section."""
    return "{\n" + ",\n".join(f'  "{name}": {json.dumps(value)}' for name, value in settings.items()) + "\n}"
