"""The guard of int8: only a model whose answers about films that it never saw stay the same gets ranges to ship."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from osteolens.calibration import read_image
from osteolens.card import Card, Quantisation, load_card
from osteolens.exporting import to_onnx
from osteolens.quantising import RANGES_FILE
from osteolens.training.data import load_pictures
from osteolens.training.map_runs import film_path
from osteolens.training.metrics import Scored, figures
from osteolens.training.quantisation_folds import ask_folds, find_folds
from osteolens.training.quantisation_ranges import MAX_CHANGE, Answers, Floats, quantise_within
from osteolens.training.table import PREDICTIONS_FILE, Predictions, read_predictions

MAX_AUROC_LOSS = 0.005
MAX_DISAGREEMENT = 0.01
"""Largest share of films whose answered label may be another."""
MAX_MOVE = 2 * MAX_CHANGE
"""How far a probability may move before calibration, which may hide a change."""
PROTOCOL = (
    "Every film of the first repeat is answered in fp32 and in int8 by the model that had seen no film of its group. "
    "The ranges of activations, and how many first layers stay in fp32 (as few as keep every probability before "
    f"calibration within {MAX_CHANGE}), come from the training films of that model. Probabilities are calibrated by "
    f"this card. Refused if an AUROC falls by more than {MAX_AUROC_LOSS}, if more than {MAX_DISAGREEMENT:.0%} of the "
    f"labels differ, or if a probability before calibration moves by more than {MAX_MOVE}. The shipped ranges follow "
    "from all films by the same rule."
)


def quantise_model(run: Path, model: Path, data: Path, members: Path | None, console: Console) -> Quantisation:
    """Put the guard's finding into a model's card; if it accepts, write the ranges of the model beside it.

    Args:
        run: A cross-validation with the settings of the model: `predictions.csv`, and the models of the folds of its
            first repeat.
        model: The model folder, trained on all films of the run; or the ensemble of its folds.
        data: The table or folder of films that the run was made from.
        members: Where `run` does not hold the models: an ensemble whose members are those of its folds, in order.
        console: Where progress goes.

    Raises:
        DataError: Films or models are missing, or are not those of the run.
        CardError: A model folder is wrong.
    """
    card, predictions = load_card(model), read_predictions(run / PREDICTIONS_FILE)
    films = [replace(film, path=film_path(film, data)) for film in predictions.films]
    pictures = load_pictures(films, card.preprocess, console)
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        folds = find_folds(run, members, predictions, scratch)
        found = judge(card, predictions, *ask_folds(folds, predictions, pictures, scratch, console))
        if found.accepted:
            console.print("accepted; measuring the model's ranges on all films", highlight=False)
            ranges, _ = quantise_within(to_onnx(model, scratch), card, pictures, scratch)
            ranges.save(model)
        else:
            (model / RANGES_FILE).unlink(missing_ok=True)
    others = (other for other in card.quantisation if other.precision != found.precision)
    card.model_copy(update={"quantisation": (*others, found)}).save(model)
    return found


def judge(card: Card, predictions: Predictions, exact: Answers, int8: Answers) -> Quantisation:
    """Compare int8 with fp32 on films that neither had seen.

    Args:
        card: Its calibration makes the answered probabilities.
        predictions: The films, and what is true of them.
        exact: fp32.
        int8: The same films.
    """
    before, after = (read_image(card.labels, said.logits, said.t_score, card) for said in (exact, int8))
    labels, moved = before.probabilities.argmax(axis=1), np.abs(int8.probabilities - exact.probabilities)
    change, rows = np.abs(after.probabilities - before.probabilities), np.arange(len(labels))
    found = Quantisation(
        accepted=False,
        protocol=PROTOCOL,
        films=len(labels),
        auroc=_aurocs(predictions, after.probabilities),
        auroc_fp32=_aurocs(predictions, before.probabilities),
        label_disagreement=_share(labels != after.probabilities.argmax(axis=1)),
        uncalibrated_label_disagreement=_share(exact.probabilities.argmax(axis=1) != int8.probabilities.argmax(axis=1)),
        triage_disagreement=_share(before.zone != after.zone),
        largest_difference=_digits(change.max()),
        mean_difference=_digits(change.mean()),
        largest_uncalibrated_difference=_digits(moved.max()),
        map_cosine=_digits(_cosine(exact.maps[rows, labels], int8.maps[rows, labels]).mean()),
    )
    reasons = tuple(_reasons(found))
    return found.model_copy(update={"accepted": not reasons, "reasons": reasons})


def _reasons(found: Quantisation) -> list[str]:
    """Why it must be refused."""
    falls = {name: found.auroc_fp32[name] - value for name, value in found.auroc.items()}
    reasons = [f"{name} falls by {fall:.4f}" for name, fall in falls.items() if not fall <= MAX_AUROC_LOSS]
    if found.label_disagreement > MAX_DISAGREEMENT:
        reasons.append(f"{found.label_disagreement:.1%} of the labels differ")
    if found.largest_uncalibrated_difference > MAX_MOVE:
        reasons.append(f"a probability before calibration moves by {found.largest_uncalibrated_difference:.3f}")
    return reasons


def _aurocs(predictions: Predictions, probabilities: Floats) -> dict[str, float]:
    """Pooled over the folds."""
    none = np.full(len(probabilities), np.nan)
    scored = Scored(predictions.labels, predictions.groups, predictions.truth, probabilities, none, none)
    return {name: _digits(value) for name, value in figures(scored).items() if name.startswith("AUROC")}


def _cosine(one: Floats, other: Floats) -> Floats:
    """Of maps [N, h, w] with their counterparts; a map that is zero throughout is like another such, and like no other.

    Returns:
        [N], 0 to 1.
    """
    products, first, second = ((a * b).sum(axis=(1, 2)) for a, b in ((one, other), (one, one), (other, other)))
    lengths = np.sqrt(first * second)
    return np.asarray(np.where(lengths > 0, products / np.where(lengths > 0, lengths, 1), first == second), np.float64)


def _share(flags: NDArray[np.bool_]) -> float:
    return _digits(float(flags.mean()))


def _digits(value: float) -> float:
    """What is worth writing down."""
    return round(float(value), 6)
