"""Run folder, or its committed evidence, read for a report."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osteolens.card import CARD_FILE, load_card
from osteolens.errors import DataError
from osteolens.evaluation.maps.findings import MAPS_FILE, MapChecks, read_map_checks
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions, read_predictions
from osteolens.labels import LABELS

FACTS_FILE, TRIED_FILE, MODEL_FOLDER = "run.json", "tried.csv", "model"


@dataclass(frozen=True)
class Tried:
    """Settings that were tried before the final ones were fixed: a table as written by hand, every cell as text."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class RunFolder:
    """A cross-validation, or a single split.

    Attributes:
        folder: Path of the folder.
        name: The model's name.
        predictions: Predictions of films that the models had not seen.
        facts: `run.json`, or the same facts from the model's card.
        maps: Checks of the heat maps, if they were made.
        tried: Log of the settings that were tried, from this folder or the one above, if there is one.
    """

    folder: Path
    name: str
    predictions: Predictions
    facts: dict[str, Any]
    maps: MapChecks | None
    tried: Tried | None

    @property
    def ensemble(self) -> int:
        """Number of members of the run's model: the folds of a repeat; 0 for a single model."""
        return int(self.facts.get("folds", 0)) if self.facts.get("ensemble") else 0


def read_run(folder: Path) -> RunFolder:
    """Read a folder that `osteolens crossval` or `osteolens train` wrote, or a folder of evidence/.

    Raises:
        DataError: The folder or its table of predictions is missing, or a file in it is damaged.
        CardError: There are no facts but a model's card, and that is damaged.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; name a run such as runs/knee")
    predictions = read_predictions(folder / PREDICTIONS_FILE)
    maps = folder / MAPS_FILE
    facts = _facts(folder)
    return RunFolder(
        folder=folder,
        name=str(facts.get("name", folder.resolve().name)),
        predictions=predictions,
        facts=facts,
        maps=read_map_checks(maps) if maps.exists() else None,
        tried=_tried(folder, predictions.labels),
    )


def _facts(folder: Path) -> dict[str, Any]:
    path, model = folder / FACTS_FILE, folder / MODEL_FOLDER
    if path.exists():
        try:
            facts: dict[str, Any] = json.loads(path.read_bytes())
            return dict(facts)
        except ValueError as error:
            raise DataError(f"{path} does not hold a run's facts: {error}") from error
    if not (model / CARD_FILE).exists():
        return {}
    card = load_card(model, check_weights=False)
    dataset = {"name": card.data.name, "source": card.data.source, "licence": card.data.licence}
    return {"name": card.name, "architecture": card.architecture, "dataset": dataset, "split": card.data.split}


def read_tried(path: Path) -> Tried:
    """Read a log of settings that were tried.

    Raises:
        DataError: Its rows are not as long as its first line.
    """
    with path.open(newline="", encoding="utf-8") as stream:
        columns, *rows = [tuple(row) for row in csv.reader(stream)] or [()]
    if any(len(row) != len(columns) for row in rows):
        raise DataError(f"{path} has rows that are longer or shorter than its first line")
    return Tried(columns, rows)


def _tried(folder: Path, labels: Sequence[str]) -> Tried | None:
    """Log of the folder itself; or of the one above it, which is about the models for osteoporosis."""
    places = [folder / TRIED_FILE, *([folder.resolve().parent / TRIED_FILE] if labels == LABELS else [])]
    return next((read_tried(path) for path in places if path.is_file()), None)
