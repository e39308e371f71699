"""How far a film is from those that a model was trained on, by the model's own pooled features.

The distance is Mahalanobis' with the covariance of the training films in their main directions, and one variance for
all others (Lee et al. 2018; the second part as in ViM, Wang et al. 2022). Only means and directions are kept, no film.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteolens.errors import CardError
from osteolens.files import whole

FAMILIARITY_FILE = "familiarity.safetensors"
DIRECTIONS = 24
PASSED, PARTS, ENOUGH = 0.97, 5, 30
SHRINKAGE = 0.1
"""Share of the mean variance mixed into the variance of each direction."""


@dataclass(frozen=True)
class Familiarity:
    """Statistics of a model's training films.

    Attributes:
        mean: float32 [C] of the pooled features.
        directions: float32 [K, C], orthonormal.
        variances: float32 [K] along them.
        rest: Variance of all that is outside them, summed over its directions.
        threshold: The distance that 97 % of films apart from these stay below.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    variances: NDArray[np.float32]
    rest: float
    threshold: float

    def distance(self, pooled: NDArray[np.float32]) -> float:
        """Distance of a film, with `threshold` as the unit; `pooled` is float32 [C]."""
        apart = pooled - self.mean
        along = self.directions @ apart
        outside = float(apart @ apart - along @ along)
        squared = float((along**2 / self.variances).sum()) + max(outside, 0.0) / self.rest
        return float(np.sqrt(squared / (len(along) + 1))) / self.threshold

    def save(self, folder: Path, weights_sha256: str) -> Path:
        """Write `familiarity.safetensors`, which names the weights that it belongs to."""
        from safetensors.numpy import save_file

        path = folder / FAMILIARITY_FILE
        facts = {"weights_sha256": weights_sha256, "rest": self.rest, "threshold": self.threshold}
        tensors: dict[str, NDArray[Any]] = {
            "mean": self.mean, "directions": self.directions.astype(np.float16), "variances": self.variances
        }  # fmt: skip
        with whole(path) as draft:
            save_file(tensors, draft, {"familiarity": json.dumps(facts)})
        return path


def fit(pooled: NDArray[np.float32]) -> Familiarity:
    """Statistics of films' pooled features, float32 [N, C]; its threshold is 1."""
    mean = pooled.mean(axis=0)
    count = min(DIRECTIONS, len(pooled) // 3, pooled.shape[1] - 1)
    _, values, directions = np.linalg.svd(pooled - mean, full_matrices=False)
    variances = values**2 / (len(pooled) - 1)
    main, rest = variances[:count], float(variances[count:].sum())
    shrunk = (1 - SHRINKAGE) * main + SHRINKAGE * main.mean()
    return Familiarity(mean, directions[:count].copy(), shrunk.astype(np.float32), max(rest, 1e-12), 1.0)


def fit_threshold(
    pooled: NDArray[np.float32], groups: Sequence[str], apart: NDArray[np.float32] | None = None
) -> Familiarity:
    """Statistics with the threshold that 97 % of films apart from them stay below.

    Args:
        pooled: float32 [N, C] of the films that the model was trained on.
        groups: Their groups, [N].
        apart: float32 [M, C] of films that it was not trained on. Without them, or with fewer than `ENOUGH`, a fifth
            of the groups at a time is compared with the other four.
    """
    fitted = fit(pooled)
    if apart is not None and len(apart) >= ENOUGH:
        distances = [fitted.distance(film) for film in apart]
    else:
        part = np.unique(np.asarray(groups), return_inverse=True)[1] % PARTS
        distances = []
        for number in np.unique(part):
            others = fit(pooled[part != number])
            distances += [others.distance(film) for film in pooled[part == number]]
    return replace(fitted, threshold=float(np.quantile(distances, PASSED)))


def load(folder: Path, weights_sha256: str) -> Familiarity | None:
    """The statistics of a model folder or archive; None where it has none.

    Raises:
        CardError: The file belongs to other weights, or is damaged.
    """
    path = folder / FAMILIARITY_FILE
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            facts = json.loads(stored.metadata()["familiarity"])
            tensors = {name: stored.get_tensor(name).astype(np.float32) for name in ("mean", "directions", "variances")}
        loaded = Familiarity(**tensors, rest=float(facts["rest"]), threshold=float(facts["threshold"]))
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CardError(f"{path} is damaged: {error}; fit it again: train/fit_familiarity.py") from error
    if facts["weights_sha256"] != weights_sha256:
        raise CardError(f"{path} belongs to other weights than those beside it; fit it again: train/fit_familiarity.py")
    return loaded
