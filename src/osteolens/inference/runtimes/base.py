"""The interface of every backend."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from osteolens.inference.calibration import softmax


@dataclass(frozen=True)
class Prediction:
    """Raw outputs for a batch, in the order in which models and exported files give them.

    Attributes:
        logits: float32 [N, K], classes in the card's order.
        t_score: float32 [N]; NaN where the model has no T-score head.
        maps: float32 [N, K, h, w], the Grad-CAM map of every class over the model's input, 0 and above, not scaled.
        pooled: float32 [N, C], the mean of each channel of the feature map.
        member_logits: float32 [N, M, K], the logits of each of an ensemble's M members; None for a single model.
        member_t_score: float32 [N, M], likewise.
    """

    logits: NDArray[np.float32]
    t_score: NDArray[np.float32]
    maps: NDArray[np.float32]
    pooled: NDArray[np.float32]
    member_logits: NDArray[np.float32] | None = None
    member_t_score: NDArray[np.float32] | None = None

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 [N, K], rows sum to 1."""
        return softmax(self.logits)

    @property
    def member_probabilities(self) -> NDArray[np.float64] | None:
        """float64 [N, M, K]: each member's own probabilities; None for a single model."""
        return None if self.member_logits is None else softmax(self.member_logits)


class Runtime(Protocol):
    """A loaded model."""

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        """Answer a batch of prepared films, uint8 [N, 1, H, W]."""
        ...
