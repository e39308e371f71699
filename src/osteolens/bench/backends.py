"""The backends by name: what each imports and how it is loaded. Imported by the processes that are measured."""

import os
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from osteolens.bench.plan import EAGER, EAGERS, OPENVINO, Setup
from osteolens.card import Card
from osteolens.errors import CardError, ExportError
from osteolens.inference.reader import Reader
from osteolens.inference.runtimes import Backend, Prediction, Runtime, load_runtime
from osteolens.inference.runtimes.loading import ONNX_FILE

_MODULES = {
    "torchscript": "osteolens.inference.runtimes.torchscript",
    "onnx-fp32": "osteolens.inference.runtimes.onnx",
    "onnx-int8": "osteolens.inference.runtimes.onnx",
    **dict.fromkeys(OPENVINO, "openvino"),
}
_IN_TORCH = "osteolens.inference.runtimes.eager"


class Unavailable(Exception):
    """A backend cannot run here; the message says why."""


def import_libraries(backend: str) -> None:
    """Import what a backend computes with, and nothing of the others.

    Raises:
        Unavailable: A package is missing.
    """
    try:
        import_module(_MODULES.get(backend, _IN_TORCH))
    except ModuleNotFoundError as error:
        raise Unavailable(f"it needs the package {error.name}: pip install 'osteolens[bench]'") from error


def load_reader(setup: Setup, card: Card) -> Reader:
    """A reader that computes with the backend; with an eager one it draws heat maps by gradients.

    Raises:
        Unavailable: A compiler or an instruction set is missing.
        CardError, ExportError: The exported file is broken or another model's.
    """
    reader = Reader(setup.model, None if setup.backend in EAGERS else _load_runtime(setup, card))
    if setup.backend == EAGER:
        import torch

        reader.eager.model.to(memory_format=torch.contiguous_format)
    return reader


def _load_runtime(setup: Setup, card: Card) -> Runtime:
    if setup.backend == "torch-compile":
        return _Compiled(setup.model)
    if setup.backend in OPENVINO:
        return _OpenVino(setup.exports / ONNX_FILE, card, setup.threads, OPENVINO[setup.backend])
    return load_runtime(setup.exports, card, cast("Backend", setup.backend), setup.threads)


class _Compiled:
    """The eager model behind `torch.compile`, which compiles it at the first call."""

    def __init__(self, folder: Path) -> None:
        if not (os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")):
            raise Unavailable("it needs a C++ compiler: g++ or clang++")
        import torch

        from osteolens import models

        model, _ = models.load(folder)
        self._torch = torch
        self._outputs = torch.compile(lambda films: model.outputs(model.features(films)))

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        with self._torch.no_grad():
            outputs = self._outputs(self._torch.from_numpy(films))
        return Prediction(*(output.numpy() for output in outputs))


class _OpenVino:
    """An exported ONNX graph in OpenVINO, on the processor."""

    def __init__(self, path: Path, card: Card, threads: int, precision: str) -> None:
        openvino: Any = import_module("openvino")
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise Unavailable("this processor has no bf16 arithmetic")
        try:
            graph = core.read_model(path)
        except RuntimeError as error:
            raise ExportError(f"{path} cannot be loaded: {str(error).splitlines()[0]}") from error
        _check_card(path, graph, card)
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,  # its own choice is bf16 wherever the processor has it
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request = core.compile_model(graph, "CPU", settings).create_infer_request()
        self._names = [output.get_any_name() for output in graph.outputs]

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        answers = self._request.infer({"films": films})
        return Prediction(**{name: np.array(answers[name]) for name in self._names})


def _check_card(path: Path, graph: Any, card: Card) -> None:
    fact = ["framework", "card_sha256"]
    found = graph.get_rt_info(fact).astype(str) if graph.has_rt_info(fact) else "unknown"
    if found != card.sha256:
        raise CardError(
            f"{path} does not belong to its card: it was exported from a card with sha256 {found}, the card of "
            f"{card.name} has {card.sha256}; export it again: "
            f"python export/to_onnx.py weights/{card.name} --out build/{card.name}"
        )
