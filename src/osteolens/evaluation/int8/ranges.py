"""Ranges of activations, measured on films, and the number of first layers that have to stay in fp32."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import create_calibrator

from osteolens.card import INT8_FILE, Card
from osteolens.errors import DataError
from osteolens.exporting.int8 import OPERATORS, ActivationRanges, Range, layers, quantise, tensors_beside
from osteolens.inference.calibration import softmax
from osteolens.inference.runtimes.onnx import INPUT, OnnxRuntime

MAX_CHANGE = 0.03
"""Largest change of a probability before calibration, on the films that the ranges come from."""
_FIRST = 1
"""Convolutions that stay in fp32 in any case: ONNX Runtime reads three channels faster in fp32 than in int8."""
_BATCH = 16

Films = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Outputs of a graph for N films.

    Attributes:
        logits: float64 [N, K].
        t_score: float64 [N].
        maps: float64 [N, K, h, w].
    """

    logits: Floats
    t_score: Floats
    maps: Floats

    @property
    def probabilities(self) -> Floats:
        """Probabilities before calibration, float64 [N, K]."""
        return softmax(self.logits)


def predict(graph: Path, card: Card, films: Films) -> Answers:
    """Run a graph on films, uint8 [N, 1, H, W]."""
    runtime = OnnxRuntime(graph, card)
    parts = [runtime.predict(films[start : start + _BATCH]) for start in range(0, len(films), _BATCH)]
    names = ("logits", "t_score", "maps")
    return Answers(*(np.concatenate([getattr(part, name) for part in parts]).astype(np.float64) for name in names))


def quantise_within(graph: Path, card: Card, films: Films, scratch: Path) -> tuple[ActivationRanges, Path]:
    """Quantise as many of the last layers as keep every probability of the films within `MAX_CHANGE`, at least one.

    Args:
        graph: The fp32 graph.
        card: The model's card.
        films: uint8 [N, 1, H, W], the training films of the model.
        scratch: Folder for the int8 graph.

    Returns:
        The ranges, and the int8 graph made with them.

    Raises:
        DataError: There are no films.
    """
    measured = measure(graph, films)
    exact = predict(graph, card, films).probabilities

    def attempt(first: int) -> tuple[ActivationRanges, Path]:
        ranges = choose(graph, measured, first, card, len(films))
        return ranges, quantise(graph, ranges, card, scratch / INT8_FILE)

    low, high = _FIRST, max(layers(onnx.load(graph)).values()) - 1
    while low < high:  # the more layers stay in fp32, the less changes
        middle = (low + high) // 2
        change = np.abs(predict(attempt(middle)[1], card, films).probabilities - exact).max()
        low, high = (low, middle) if change <= MAX_CHANGE else (middle + 1, high)
    return attempt(low)


def measure(graph: Path, films: Films) -> dict[str, Range]:
    """Lowest and highest value, to 4 digits, of every tensor beside a node that could compute in int8.

    Args:
        graph: The fp32 graph.
        films: uint8 [N, 1, H, W].

    Raises:
        DataError: There are no films.
    """
    if not len(films):
        raise DataError("there are no films to measure ranges of activations on; name their table, such as films.csv")
    with TemporaryDirectory() as folder:
        calibrator = create_calibrator(graph, OPERATORS, str(Path(folder) / "measuring.onnx"), CalibrationMethod.MinMax)
        calibrator.collect_data(_Reader(films))
        extremes = calibrator.compute_data().data
    model = onnx.load(graph)
    return {
        name: (_rounded(extremes[name].lowest.min()), _rounded(extremes[name].highest.max()))
        for name in tensors_beside(model, layers(model))
    }


def choose(graph: Path, measured: Mapping[str, Range], first: int, card: Card, films: int) -> ActivationRanges:
    """The ranges for a graph whose layers stay in fp32 up to some number of convolutions from the film.

    Args:
        graph: The fp32 graph.
        measured: Ranges by `measure`.
        first: That number; 0 quantises every layer.
        card: The model's card.
        films: Number of films behind `measured`.
    """
    model = onnx.load(graph)
    depth = layers(model)
    tensors = tensors_beside(model, [name for name in depth if depth[name] > first])
    return ActivationRanges(
        weights_sha256=card.weights_sha256,
        films=films,
        fp32=tuple(name for name in depth if depth[name] <= first),
        tensors={name: measured[name] for name in tensors},
    )


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Reader that returns films one by one, as ONNX Runtime's calibrator wants them."""

    def __init__(self, films: Films) -> None:
        self.films: Iterator[Films] = iter(films[:, None])

    def get_next(self) -> dict[str, Films] | None:
        """The next input of the graph, or None."""
        film = next(self.films, None)
        return None if film is None else {INPUT: film}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
