"""Guard of int8: only a model whose answers to films that it never saw stay the same gets ranges to ship."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from osteolens.card import INT8_FILE, RANGES_FILE, Card, Quantisation, load_card
from osteolens.datasets.films import load_pictures
from osteolens.errors import DataError
from osteolens.evaluation.int8.folds import find_folds, predict_folds
from osteolens.evaluation.int8.ranges import MAX_CHANGE, Answers, Floats, predict, quantise_within
from osteolens.evaluation.maps.peaks import usual_peaks
from osteolens.evaluation.maps.regions import enlarged
from osteolens.evaluation.maps.runs import film_path
from osteolens.evaluation.metrics import Scored, figures
from osteolens.evaluation.predictions import PREDICTIONS_FILE, Predictions, read_predictions
from osteolens.exporting.int8 import PRECISION, load_ranges, quantise
from osteolens.exporting.onnx import to_onnx
from osteolens.inference.calibration import read_image

MAX_AUROC_LOSS = 0.005
MAX_DISAGREEMENT = 0.01
"""Largest share of films whose answered label may be another."""
MAX_MOVE = 2 * MAX_CHANGE
"""Largest change of a probability before calibration, as calibration may hide one."""
PROTOCOL = (
    "Every film of the first repeat is answered in fp32 and in int8 by the model that had seen no film of its group. "
    "The ranges of activations, and how many first layers stay in fp32 (as few as keep every probability before "
    f"calibration within {MAX_CHANGE}), come from the training films of that model. Probabilities are calibrated by "
    f"this card. Refused if an AUROC falls by more than {MAX_AUROC_LOSS}, if more than {MAX_DISAGREEMENT:.0%} of the "
    f"labels differ, or if a probability before calibration moves by more than {MAX_MOVE}. The shipped ranges follow "
    "from all films by the same rule."
)
TOP = 0.2
"""Share of a map that counts as its bright part."""
OVERLAP = 0.85
"""Least intersection over union of the bright parts in fp32 and in int8."""
COUNTS_FROM = 0.1
"""Share of a class's usual peak below which a map is not counted: a weaker one is drawn so faint that it hardly shows,
and rounding may move it.
"""
MIN_HELD = 0.95
SIDE = 112
"""Maps are compared as they are drawn, enlarged; this many pixels high and wide are enough."""
MAPS_RULE = (
    f"A heat map holds if its brightest {TOP:.0%} in fp32 and in int8 overlap by {OVERLAP} or more (intersection over "
    "union, maps enlarged as they are drawn) and its brightest cell moves by one cell at most. The maps of every class "
    f"count, of all films of the run, drawn by the shipped graphs, whose peak in fp32 is at least {COUNTS_FROM} of the "
    f"usual one (the median over the films of that label); int8 is refused if fewer than {MIN_HELD:.0%} of them hold."
)

Flags = NDArray[np.bool_]


def quantise_model(run: Path, model: Path, data: Path, members: Path | None, console: Console) -> Quantisation:
    """Put the guard's result into a model's card; if it accepts, write the ranges of the model beside it.

    Args:
        run: A cross-validation with the settings of the model: `predictions.csv`, and the models of the folds of its
            first repeat.
        model: The model folder, trained on all films of the run; or the ensemble of its folds.
        data: The table or folder of films that the run was made from.
        members: An ensemble whose members are the models of the folds, in order, where `run` has none.
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
        result = judge(card, predictions, *predict_folds(folds, predictions, pictures, scratch, console))
        if result.accepted:
            console.print("accepted; measuring the model's ranges on all films", highlight=False)
            graph = to_onnx(model, scratch)
            ranges, int8 = quantise_within(graph, card, pictures, scratch)
            exact, quantised = predict(graph, card, pictures), predict(int8, card, pictures)
            result = judge_maps(result, predictions.truth, exact, quantised)
            ranges.save(model)
    return _store(model, card, result)


def judge_maps_again(run: Path, model: Path, data: Path, console: Console) -> Quantisation:
    """Compare the heat maps again, of a model that was accepted before, by the ranges beside its card.

    The card's comparison of the answers stays as it is; arguments and errors are those of `quantise_model`.
    """
    card, predictions = load_card(model), read_predictions(run / PREDICTIONS_FILE)
    before = [result for result in card.quantisation if result.precision == PRECISION]
    if not before:
        raise DataError(f"{model} was never compared with int8: leave --maps-only out, with a run that holds its folds")
    films = [replace(film, path=film_path(film, data)) for film in predictions.films]
    pictures = load_pictures(films, card.preprocess, console)
    with TemporaryDirectory() as folder:
        graph = to_onnx(model, Path(folder))
        int8 = quantise(graph, load_ranges(model), card, Path(folder) / INT8_FILE)
        result = judge_maps(before[0], predictions.truth, predict(graph, card, pictures), predict(int8, card, pictures))
    return _store(model, card, result)


def _store(model: Path, card: Card, result: Quantisation) -> Quantisation:
    """Put a result into the card; a refused model keeps no ranges."""
    if not result.accepted:
        (model / RANGES_FILE).unlink(missing_ok=True)
    others = (other for other in card.quantisation if other.precision != result.precision)
    card.model_copy(update={"quantisation": (*others, result)}).save(model)
    return result


def judge_maps(result: Quantisation, truth: NDArray[np.int64], exact: Answers, int8: Answers) -> Quantisation:
    """Add the comparison of the heat maps to a result, which is refused if too many of them moved.

    Args:
        result: Comparison of the answers.
        truth: int64 [N], the films' labels.
        exact: Outputs of the shipped graph in fp32.
        int8: Outputs of the same graph in int8, for the same films.
    """
    maps = held(exact.maps, int8.maps, truth)
    share = _share(maps) if maps.size else 1.0
    reasons = result.reasons
    if share < MIN_HELD:
        reasons = (*reasons, f"{1 - share:.1%} of the heat maps are bright in other places")
    return result.model_copy(
        update={
            "maps": maps.size,
            "maps_held": share,
            "reasons": reasons,
            "accepted": not reasons,
            "protocol": f"{PROTOCOL} {MAPS_RULE}",
        }
    )


def held(exact: Floats, int8: Floats, truth: NDArray[np.int64]) -> Flags:
    """Whether each map that counts holds, by `MAPS_RULE`.

    Args:
        exact: [N, K, h, w], maps in fp32.
        int8: Outputs in int8, for the same films.
        truth: int64 [N], the films' labels.

    Returns:
        bool, one for each film and class that counts.
    """
    peaks = exact.max(axis=(2, 3))
    labels = [str(k) for k in range(exact.shape[1])]
    usual = usual_peaks(labels, truth, peaks)
    limits = np.array([COUNTS_FROM * usual.get(label, np.inf) for label in labels])
    return np.array(
        [_holds(exact[place], int8[place]) for place in zip(*np.nonzero(peaks >= limits), strict=True)], bool
    )


def _holds(exact: Floats, int8: Floats) -> bool:
    """Whether the map of a film and class holds; both [h, w]."""
    peaks = [np.array(np.unravel_index(values.argmax(), values.shape)) for values in (exact, int8)]
    if np.abs(peaks[0] - peaks[1]).max() > 1:
        return False
    bright = [_brightest(values) for values in (exact, int8)]
    return bool((bright[0] & bright[1]).sum() >= OVERLAP * (bright[0] | bright[1]).sum())


def _brightest(values: Floats) -> Flags:
    large = enlarged(values.astype(np.float32), (SIDE, SIDE))
    return np.asarray(large > np.quantile(large, 1 - TOP))


def judge(card: Card, predictions: Predictions, exact: Answers, int8: Answers) -> Quantisation:
    """Compare int8 with fp32 on films that neither had seen.

    Args:
        card: Card with the calibration of the answered probabilities.
        predictions: The films with their labels.
        exact: Outputs in fp32.
        int8: Outputs in int8, for the same films.
    """
    before, after = (read_image(card.labels, part.logits, part.t_score, card) for part in (exact, int8))
    labels, moved = before.probabilities.argmax(axis=1), np.abs(int8.probabilities - exact.probabilities)
    change, rows = np.abs(after.probabilities - before.probabilities), np.arange(len(labels))
    result = Quantisation(
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
    reasons = tuple(_reasons(result))
    return result.model_copy(update={"accepted": not reasons, "reasons": reasons})


def _reasons(result: Quantisation) -> list[str]:
    """Reasons to refuse the quantised graph."""
    falls = {name: result.auroc_fp32[name] - value for name, value in result.auroc.items()}
    reasons = [f"{name} falls by {fall:.4f}" for name, fall in falls.items() if not fall <= MAX_AUROC_LOSS]
    if result.label_disagreement > MAX_DISAGREEMENT:
        reasons.append(f"{result.label_disagreement:.1%} of the labels differ")
    if result.largest_uncalibrated_difference > MAX_MOVE:
        reasons.append(f"a probability before calibration moves by {result.largest_uncalibrated_difference:.3f}")
    return reasons


def _aurocs(predictions: Predictions, probabilities: Floats) -> dict[str, float]:
    """AUROCs, pooled over the folds."""
    none = np.full(len(probabilities), np.nan)
    scored = Scored(predictions.labels, predictions.groups, predictions.truth, probabilities, none, none)
    return {name: _digits(value) for name, value in figures(scored).items() if name.startswith("AUROC")}


def _cosine(first: Floats, second: Floats) -> Floats:
    """Cosines between maps [N, h, w] and their counterparts, [N], 0 to 1; a map of zeros matches only another one."""
    pairs = ((first, second), (first, first), (second, second))
    products, squares, other_squares = ((a * b).sum(axis=(1, 2)) for a, b in pairs)
    lengths = np.sqrt(squares * other_squares)
    return np.asarray(
        np.where(lengths > 0, products / np.where(lengths > 0, lengths, 1), squares == other_squares), np.float64
    )


def _share(flags: NDArray[np.bool_]) -> float:
    return _digits(float(flags.mean()))


def _digits(value: float) -> float:
    """Round to the digits that are stored."""
    return round(float(value), 6)
