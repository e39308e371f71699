"""An exported graph in ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from osteolens.runtime.base import Prediction


class OnnxRuntime:
    """Answers with a file that `export/to_onnx.py` wrote.

    Args:
        path: The `.onnx` file.
        threads: Threads for one operator; 0 leaves the choice to ONNX Runtime.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        """Answer a batch of prepared films, uint8 [N, 1, H, W]."""
        return Prediction(*self.session.run(None, {"films": films}))
