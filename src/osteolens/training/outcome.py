"""Reports of a run: the parts that its model will have, and at the end figures and card from its predictions."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from osteolens.card import Card, Evaluation, load_card
from osteolens.console import print_sentence
from osteolens.datasets.films import Film
from osteolens.evaluation.calibration import Rows, facts_of
from osteolens.evaluation.evaluate import apply_to_card, evaluate
from osteolens.evaluation.fusion import FACT_SETS, MIN_FILMS, FactSet, usable_facts
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions, read_predictions
from osteolens.evaluation.run_folder import MODEL_FOLDER
from osteolens.evidence import evidence_of
from osteolens.files import write_text
from osteolens.parameters import FACT_WORDS, fact_words

METRICS_FILE = "metrics.json"
_NAME_WIDTH, _FIGURE_WIDTH = 28, 25
"""Widths of the printed columns in characters, with borders: `-0.123 [-0.123, -0.123]` and its frame."""


def write_outcome(out: Path, console: Console, *, ensemble: int = 0, folder: Path | None = None) -> Card:
    """Turn a run's `predictions.csv` into `metrics.json` and the figures and fitted parameters of its model's card.

    Args:
        out: The run's folder.
        console: Where progress goes: the bootstrap takes a while.
        ensemble: Number of members of the model; 0 for a single model.
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
    """Print what the model's answers lead with, the card's figures side by side, and what is missing.

    The figures stand in as many tables as the console's width needs.
    """
    print_sentence(console, evidence_of(card).leading)
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
    """Table with a column per evaluation; long names are wrapped, never cut."""
    table = Table()
    table.add_column("figure", overflow="fold")
    for evaluation in evaluations:
        table.add_column(evaluation.subject, justify="right", overflow="fold", min_width=_FIGURE_WIDTH - 3)
    cells = [{metric.name: metric for metric in evaluation.metrics} for evaluation in evaluations]
    for name in dict.fromkeys(name for column in cells for name in column):
        metrics = [column.get(name) for column in cells]
        table.add_row(name, *(f"{m.value:.3f} [{m.low:.3f}, {m.high:.3f}]" if m else "-" for m in metrics))
    return table


def parts_of_fit(
    training: Sequence[Film], validation: Sequence[Film], labels: Sequence[str], t_score_weight: float
) -> str:
    """Sentence on the parts of a run of `fit`, whose fusions are fitted on the validation films.

    Args:
        training: Training films.
        validation: Validation films.
        labels: K, in order.
        t_score_weight: The weight of the T-score in the loss, from the configuration.
    """
    fold = np.zeros((1, len(validation)), np.int64)
    return (
        f"Parts: {_t_score(training, t_score_weight)}; on the validation films, {_fusions(validation, labels, fold)}."
    )


def parts_of_folds(films: Sequence[Film], labels: Sequence[str], fold: NDArray[np.int64], t_score_weight: float) -> str:
    """Sentence on the parts of a cross-validation.

    Args:
        films: N films.
        labels: K, in order.
        fold: int64 [R, N].
        t_score_weight: The weight of the T-score in the loss, from the configuration.
    """
    return f"Parts: {_t_score(films, t_score_weight)}; {_fusions(films, labels, fold)}."


def _fusions(films: Sequence[Film], labels: Sequence[str], fold: NDArray[np.int64]) -> str:
    blank = Predictions(tuple(labels), films, fold, np.zeros((*fold.shape, len(labels))), np.zeros(fold.shape))
    usable = usable_facts(Rows(blank, np.ones_like(fold, dtype=bool)))
    return "; ".join(_fusion(films, names, names in usable) for names in FACT_SETS)


def _t_score(films: Sequence[Film], weight: float) -> str:
    count = sum(math.isfinite(film.t_score) for film in films)
    if not count:
        return "no T-score (no film has one)"
    return f"T-score ({count} of {len(films)} films)" if weight else "no T-score (optimisation.t_score_weight is 0)"


def _fusion(films: Sequence[Film], names: FactSet, usable: bool) -> str:
    known = {name: np.isfinite(values) for name, values in facts_of(films).items() if name in names}
    together = int(np.all(list(known.values()), axis=0).sum())
    listed = fact_words(names)
    if usable:
        return f"fusion by {listed} ({together} films)"
    if together >= MIN_FILMS:
        return f"no fusion by {listed} (in some fold the films with these are of one sex or one label)"
    counts = ", ".join(f"{FACT_WORDS[name]} of {int(known[name].sum())}" for name in names)
    return f"no fusion by {listed} (known are {counts} films, all together of {together}; {MIN_FILMS} are needed)"
