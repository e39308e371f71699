"""The backends by name: what each imports and how it is loaded. Imported by the processes that are measured."""

import os
import shutil
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from osteolens.bench.parity import Outputs
from osteolens.bench.plan import EAGER, EAGERS, OPENVINO, Setup
from osteolens.bench.results import Case
from osteolens.card import ONNX_FILE, Card
from osteolens.errors import CardError, ExportError
from osteolens.films import overlay
from osteolens.films.knees import prepare_row
from osteolens.films.read import read
from osteolens.inference.reader import Reader, Request
from osteolens.inference.runtimes import Backend, Prediction, Runtime, load_runtime
from osteolens.rows import dump, parse
from osteolens.schema import Answer

_MODULES = {
    "torchscript": "osteolens.inference.runtimes.torchscript",
    "onnx-fp32": "osteolens.inference.runtimes.onnx",
    "onnx-int8": "osteolens.inference.runtimes.onnx",
    **dict.fromkeys(OPENVINO, "openvino"),
}
_IN_TORCH = "osteolens.inference.runtimes.eager"


Call = Callable[[], Any]
"""Everything that it needs is ready; what it gives back is for `Subject.outputs`."""


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
    exported_from = graph.get_rt_info(fact).astype(str) if graph.has_rt_info(fact) else "unknown"
    if exported_from != card.sha256:
        raise CardError(
            f"{path} does not belong to its card: it was exported from a card with sha256 {exported_from}, the card of "
            f"{card.name} has {card.sha256}; export it again: osteolens "
            f"export weights/{card.name}"
        )


class Subject:
    """A loaded backend with the films that it predicts.

    Args:
        reader: Computes with the backend.
        films: The files' bytes.
    """

    def __init__(self, reader: Reader, films: Sequence[bytes]) -> None:
        self.reader = reader
        self.films = films
        prepared = [prepare_row(read(film).pixels, reader.card.preprocess, reader.finder, None).array for film in films]
        self.arrays: NDArray[np.uint8] = np.stack(prepared)

    def calls(self, case: Case, start: int, count: int) -> list[Call]:
        """As many calls as `count`, a batch of films each: from film `start` on, and round again at the end."""
        indices = np.arange(start, start + count * case.batch) % len(self.films)
        return [self._call(case, batch) for batch in indices.reshape(count, case.batch)]

    def outputs(self, case: Case) -> Outputs:
        """Answers for every film, computed as in the case."""
        films = len(self.films)
        answers = [call() for call in self.calls(case, 0, -(-films // case.batch))]
        rows = [row for answer in answers for row in self._rows(case, answer)][:films]
        maps = [row[2] for row in rows if row[2] is not None]
        return Outputs(np.array([row[0] for row in rows], np.float64), np.array([row[1] for row in rows]), maps)

    def _call(self, case: Case, indices: NDArray[np.int64]) -> Call:
        if case.scope == "bytes":
            options = {"force": "true"} | ({"explain": "none"} if case.heat_map == "none" else {})
            requests = [Request(self.films[index], options, "film") for index in indices]
            return lambda: self._answer(requests)
        films = self.arrays[indices]
        if case.heat_map == "none":
            return lambda: self._classify(films)
        if case.heat_map == "grad-cam":
            return lambda: self._explain(films)
        return lambda: self.reader.runtime.predict(films)

    def _answer(self, requests: list[Request]) -> bytes:
        return dump([self.reader.answer(request) for request in requests])

    def _classify(self, films: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        with torch.no_grad():
            logits, t_score = self.reader.eager.model(torch.from_numpy(films))
        return logits.numpy(), t_score.numpy()

    def _explain(self, films: NDArray[np.uint8]) -> tuple[Prediction, NDArray[np.float32]]:
        prediction, features = self.reader.eager.predict_with_features(films)
        targets = prediction.logits.argmax(axis=1).tolist()
        return prediction, self.reader.eager.explain(films, features, "gradcam", targets)

    def _rows(self, case: Case, answer: Any) -> list[tuple[Any, float, NDArray[Any] | None]]:
        """Probabilities, T-score and heat map of each film that a call answered."""
        if case.scope == "bytes":
            return [_row(row) for row in cast("list[Answer]", parse(answer))]
        if case.heat_map == "none":
            logits, t_score = answer
            empty = np.zeros((*logits.shape, 0, 0), np.float32)
            prediction, maps = Prediction(logits, t_score, empty, logits), [None] * len(logits)
        elif case.heat_map == "grad-cam":
            prediction, maps = answer
        else:
            prediction = answer
            maps = prediction.maps[np.arange(len(prediction.logits)), prediction.logits.argmax(axis=1)]
        return list(zip(prediction.probabilities, prediction.t_score.tolist(), maps, strict=True))


def _row(answer: Answer) -> tuple[list[float], float, NDArray[Any] | None]:
    maps = [overlay.decode_map(explanation.map_png) for explanation in answer.explanations]
    t_score = answer.t_score.estimate if answer.t_score else float("nan")
    return list(answer.probabilities.values()), t_score, maps[0] if maps else None
