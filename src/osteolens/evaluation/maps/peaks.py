"""Usual peaks of a model's heat maps, for its card: a map is weak or strong compared with them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from osteolens import models
from osteolens.card import Card
from osteolens.datasets.films import load_pictures
from osteolens.evaluation.maps.runs import film_path
from osteolens.evaluation.predictions import PREDICTIONS_FILE, read_predictions
from osteolens.models import Model

_BATCH = 16
_DIGITS = 6


def measure_peaks(model: Path, run: Path, data: Path, console: Console) -> Card:
    """Measure the usual peaks of a model's maps and put them into its card.

    The films are those of the run's table of predictions: held-out ones where the model was trained on a part, else
    all. The shipped model draws the maps, as it will for its users: the models of folds draw maps of other heights.

    Args:
        model: The model folder.
        run: A folder with `predictions.csv`, such as `evidence/knee`.
        data: The table or folder of films that the run was made from.
        console: Where progress goes.

    Raises:
        DataError: The table or a film is missing.
        CardError: The model folder is wrong.
    """
    loaded, card = models.load(model)
    predictions = read_predictions(run / PREDICTIONS_FILE)
    films = [replace(film, path=film_path(film, data)) for film in predictions.films]
    peaks = peaks_of(loaded, load_pictures(films, card.preprocess, console))
    card = card.model_copy(update={"map_peaks": usual_peaks(card.labels, predictions.truth, peaks)})
    card.save(model)
    return card


@torch.no_grad()
def peaks_of(model: Model, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The largest value of each class's Grad-CAM map: uint8 [N, 1, H, W] -> float32 [N, K]."""
    batches = torch.split(torch.from_numpy(pictures), _BATCH)
    return np.concatenate([model.outputs(model.features(batch))[2].amax(dim=(2, 3)).numpy() for batch in batches])


def usual_peaks(labels: Sequence[str], truth: NDArray[np.int64], peaks: NDArray[np.floating[Any]]) -> dict[str, float]:
    """The median peak of each label's map over the films that have this label.

    Over all films the median would be close to 0 for a label that is rare and well separated from the others, and
    every faint map of that label would count as a strong one.

    Args:
        labels: K labels.
        truth: int64 [N].
        peaks: float32 [N, K].

    Returns:
        By label; a label without films, or whose maps are mostly empty, has none.
    """
    medians = {label: np.median(peaks[truth == k, k]) for k, label in enumerate(labels) if (truth == k).any()}
    return {label: float(f"{peak:.{_DIGITS}g}") for label, peak in medians.items() if peak > 0}
