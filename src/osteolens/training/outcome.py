"""What a run ends with, single split or cross-validation: figures and a card from its table of predictions."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from osteolens.card import Card, Evaluation, load_card
from osteolens.evaluation.evaluate import apply_to_card, evaluate
from osteolens.evaluation.predictions import PREDICTIONS_FILE, read_predictions
from osteolens.evaluation.run_folder import MODEL_FOLDER
from osteolens.files import write_text

METRICS_FILE = "metrics.json"
_NAME_WIDTH, _FIGURE_WIDTH = 28, 25
"""Characters of the columns of the printed tables, borders counted: `-0.123 [-0.123, -0.123]` and its frame."""


def write_outcome(out: Path, console: Console, *, ensemble: int = 0, folder: Path | None = None) -> Card:
    """Turn a run's `predictions.csv` into `metrics.json` and the figures and fitted parameters of its model's card.

    Args:
        out: The run's folder.
        console: Shows that the figures are being computed, which takes a while.
        ensemble: How many members its model has; 0 for a single model.
        folder: The model folder; default `model` in `out`. For another one, `metrics.json` is not written.

    Raises:
        DataError: The table is damaged, or cannot be evaluated.
        CardError: The model folder is damaged.
    """
    folder = folder or out / MODEL_FOLDER
    card = load_card(folder)
    with console.status("computing figures"):
        evidence = evaluate(read_predictions(out / PREDICTIONS_FILE), ensemble=ensemble)
    if folder == out / MODEL_FOLDER:
        write_text(out / METRICS_FILE, json.dumps(evidence.dump(), indent=2, ensure_ascii=False) + "\n")
    card = apply_to_card(card, evidence)
    card.save(folder)
    return card


def show(card: Card, console: Console) -> None:
    """Print the card's figures side by side, in as many tables as the console's width needs, and what is left out."""
    first, together = card.evaluations[0], max(1, (console.width - _NAME_WIDTH) // _FIGURE_WIDTH)
    console.print(f"{first.films} films of {first.groups} groups")
    for start in range(0, len(card.evaluations), together):
        console.print(_figures(card.evaluations[start : start + together]))
    console.print(first.protocol)
    if card.fitted_on:
        console.print(f"parameters fitted on {card.fitted_on.films} validation films")
        for parameter, reason in card.fitted_on.left_out.items():
            console.print(f"no {parameter}: {reason}")


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
