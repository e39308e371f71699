"""An exported TorchScript module."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from osteolens.runtime.base import Prediction


class TorchScriptRuntime:
    """Answers with a file that `export/to_torchscript.py` wrote."""

    def __init__(self, path: Path) -> None:
        self.module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        """Answer a batch of prepared films, uint8 [N, 1, H, W]."""
        with torch.no_grad():
            outputs = self.module(torch.from_numpy(films))
        return Prediction(*(output.numpy() for output in outputs))
