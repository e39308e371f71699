"""What every backend offers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """Raw outputs for a batch.

    Attributes:
        logits: float32 [N, K], classes in the card's order.
        t_score: float32 [N]; NaN where the model has no T-score head.
    """

    logits: NDArray[np.float32]
    t_score: NDArray[np.float32]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 [N, K], rows sum to 1."""
        shifted = self.logits.astype(np.float64) - self.logits.max(axis=1, keepdims=True)
        exponentials = np.exp(shifted)
        shares: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return shares


class Runtime(Protocol):
    """A loaded model."""

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        """Answer a batch of prepared films, uint8 [N, 1, H, W]."""
        ...
