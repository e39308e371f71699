"""How far a backend's answers are from the eager model's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from osteolens.bench.results import Parity


@dataclass(frozen=True)
class Outputs:
    """A backend's answers for the benchmark's films.

    Attributes:
        probabilities: float64 [F, K].
        t_score: float64 [F]; NaN without a T-score.
        maps: One heat map [h, w] per film, of its most likely label, on any scale; empty where none were requested.
    """

    probabilities: NDArray[np.float64]
    t_score: NDArray[np.float64]
    maps: Sequence[NDArray[np.float32]] = ()

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        maps = {f"map_{index}": values for index, values in enumerate(self.maps)}
        np.savez(path, probabilities=self.probabilities, t_score=self.t_score, **maps)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "Outputs":
        """Read what `save` wrote."""
        with np.load(path) as stored:
            maps = [stored[f"map_{index}"] for index in range(len(stored.files) - 2)]
            return cls(stored["probabilities"], stored["t_score"], maps)


def compare(reference: Outputs, other: Outputs) -> Parity:
    """Largest differences; heat maps are compared where both are for the same label."""
    labels, other_labels = (outputs.probabilities.argmax(axis=1) for outputs in (reference, other))
    pairs = zip(reference.maps, other.maps, labels == other_labels, strict=False)
    map_differences = [float(np.abs(_scaled(first) - _scaled(second)).max()) for first, second, alike in pairs if alike]
    t_score = float(np.abs(reference.t_score - other.t_score).max())
    return Parity(
        films=len(labels),
        probability=float(np.abs(reference.probabilities - other.probabilities).max()),
        t_score=None if np.isnan(t_score) else t_score,
        heat_map=max(map_differences, default=None),
        other_labels=int((labels != other_labels).sum()),
    )


def _scaled(values: NDArray[np.float32]) -> NDArray[np.float64]:
    peak = float(values.max())
    scaled: NDArray[np.float64] = values.astype(np.float64) / (peak if peak > 0 else 1.0)
    return scaled
