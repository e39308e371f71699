"""The PyTorch model itself."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from osteolens import models
from osteolens.card import Card
from osteolens.inference import gradcam
from osteolens.inference.runtimes.base import Prediction
from osteolens.options import Method


class EagerRuntime:
    """Answers with the eager model, which alone can explain by gradients.

    Args:
        folder: A model folder: `card.json` and `weights.safetensors`.
    """

    def __init__(self, folder: Path) -> None:
        self.model: models.Model
        self.card: Card
        self.model, self.card = models.load(folder)

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        """Answer a batch of prepared films, uint8 [N, 1, H, W]."""
        return self.predict_with_features(films)[0]

    def predict_with_features(self, films: NDArray[np.uint8]) -> tuple[Prediction, Tensor]:
        """As `predict`, with the feature map float32 [N, C, h, w] that `explain` starts from."""
        with torch.no_grad():
            features = self.model.features(torch.from_numpy(films))
            outputs = self.model.outputs(features)
        return Prediction(*(output.numpy() for output in outputs)), features

    def explain(
        self, films: NDArray[np.uint8], features: Tensor | None, method: Method, targets: list[int]
    ) -> NDArray[np.float32]:
        """Raw heat maps float32 [N, h, w]; see `osteolens.inference.gradcam.explain`. Absent features are computed."""
        if features is None:
            _, features = self.predict_with_features(films)
        return gradcam.explain(self.model, torch.from_numpy(films), features, method, targets)
