"""From a folder and a backend's name to a loaded model."""

from pathlib import Path
from typing import Literal, get_args

from osteolens.card import INT8_FILE, ONNX_FILE, TORCHSCRIPT_FILE, Card
from osteolens.errors import ExportError
from osteolens.inference.runtimes.base import Runtime

Backend = Literal["onnx-int8", "onnx-fp32", "torchscript", "eager"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
FILES: dict[Backend, str] = {"onnx-int8": INT8_FILE, "onnx-fp32": ONNX_FILE, "torchscript": TORCHSCRIPT_FILE}
"""What each backend loads; the eager model is made from card and weights."""

EXPORTERS: dict[Backend, str] = {
    "onnx-int8": "osteolens export", "onnx-fp32": "osteolens export", "torchscript": "osteolens export -f torchscript"
}  # fmt: skip
"""The command that makes each file."""


def preferred_backend(card: Card) -> Backend:
    """The fastest backend whose answers are the model's."""
    return "onnx-int8" if card.accepts("int8") else "onnx-fp32"


def load_runtime(folder: Path, card: Card, backend: Backend, threads: int = 1) -> Runtime:
    """Load a model; only the chosen backend's libraries are imported.

    Args:
        folder: Holds the exported file (for `eager` the card and the weights).
        card: The model's.
        backend: Runs the model.
        threads: Computing threads of an ONNX session; PyTorch's are the process's own.

    Raises:
        CardError, ExportError: The file is missing, broken, or another model's.
    """
    if backend == "eager":
        from osteolens.inference.runtimes.eager import EagerRuntime

        return EagerRuntime(folder)
    if backend == "torchscript":
        from osteolens.inference.runtimes.torchscript import TorchScriptRuntime

        return TorchScriptRuntime(folder / TORCHSCRIPT_FILE, card)
    if backend in ("onnx-fp32", "onnx-int8"):
        from osteolens.inference.runtimes.onnx import OnnxRuntime

        return OnnxRuntime(folder / FILES[backend], card, threads)
    raise ExportError(f"unknown backend {backend!r}: use one of {', '.join(BACKENDS)}")
