"""Write an exported model only if it gives the answers of the model that it was made from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from osteolens.card import Card
from osteolens.errors import ExportError
from osteolens.exporting.owner import check_owner
from osteolens.files import whole
from osteolens.inference.runtimes import Prediction, Runtime
from osteolens.models import Model

CHECKED_BATCHES = (1, 2, 7, 32)
MAX_DIFFERENCE = 1e-4
"""Largest difference of a probability (and of a T-score) between an export and the eager model."""
MAX_MAP_DIFFERENCE = 1e-3
"""Largest difference of a heat map, as a share of the largest value of the film's maps."""


class ExportedModel(nn.Module):
    """A model with all its outputs; in TorchScript, `features` and `head` can be called as methods too."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    @torch.jit.export
    def features(self, x: Tensor) -> Tensor:
        """The last feature map."""
        return self.model.features(x)

    @torch.jit.export
    def head(self, features: Tensor) -> list[Tensor]:
        """All outputs, from the feature map."""
        return self.model.outputs(features)

    def forward(self, x: Tensor) -> list[Tensor]:
        """All outputs, from films."""
        return self.head(self.features(x))


def write_checked(path: Path, write: Callable[[Path], Runtime], model: Model, card: Card) -> Path:
    """Write beside the final name, compare with eager, and only then give the file its name."""
    check_owner(path, card)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        _compare(write(draft), model, card, path.name)
    return path


def _compare(exported: Runtime, model: Model, card: Card, name: str) -> None:
    random = np.random.default_rng(0)
    for batch in CHECKED_BATCHES:
        films = random.integers(0, 256, (batch, 1, card.preprocess.height, card.preprocess.width), dtype=np.uint8)
        with torch.no_grad():
            outputs = model.outputs(model.features(torch.from_numpy(films)))
        eager, answered = Prediction(*(output.numpy() for output in outputs)), exported.predict(films)
        differences = {
            "": (max_difference(eager, answered), MAX_DIFFERENCE),
            " in its heat maps": (max_map_difference(eager, answered), MAX_MAP_DIFFERENCE),
        }
        for where, (difference, allowed) in differences.items():
            if not difference < allowed:
                raise ExportError(
                    f"{name} differs from the eager model by {difference:.2g}{where} at batch {batch} "
                    f"(allowed is {allowed:g}); no file was written"
                )


def max_difference(expected: Prediction, actual: Prediction) -> float:
    """Largest difference of a probability or a T-score; NaN where only one prediction has T-scores or members."""
    differences = (
        _difference(expected.probabilities, actual.probabilities),
        _difference(expected.t_score, actual.t_score),
        _difference(expected.member_probabilities, actual.member_probabilities),
        _difference(expected.member_t_score, actual.member_t_score),
    )
    return float(np.max(differences))


def max_map_difference(expected: Prediction, actual: Prediction) -> float:
    """Largest difference of a heat map, as a share of the largest value among the expected maps of the film."""
    peaks = expected.maps.max(axis=(1, 2, 3), keepdims=True)
    return float((np.abs(expected.maps - actual.maps) / np.maximum(peaks, np.finfo(np.float32).tiny)).max())


def _difference(expected: NDArray[np.floating] | None, actual: NDArray[np.floating] | None) -> float:
    """Largest difference of two arrays; 0 where both are absent or NaN throughout, NaN where only one of them is."""
    expected, actual = (np.full(1, np.nan) if values is None else values for values in (expected, actual))
    if np.isnan(expected).all() and np.isnan(actual).all():
        return 0.0
    return float(np.abs(expected - actual).max())
