"""An exported graph in ONNX Runtime."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from osteolens.card import Card
from osteolens.errors import CardError, ExportError
from osteolens.inference.runtimes.base import Prediction

OPSET = 20
INPUT = "films"
OUTPUTS = tuple(output.name for output in fields(Prediction))
"""Names of an ensemble graph's outputs; a single model's graph lacks those of members."""
_LOAD_ERRORS = (
    ort.capi.onnxruntime_pybind11_state.Fail,
    ort.capi.onnxruntime_pybind11_state.InvalidArgument,
    ort.capi.onnxruntime_pybind11_state.InvalidGraph,
    ort.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    ort.capi.onnxruntime_pybind11_state.NoSuchFile,
    ort.capi.onnxruntime_pybind11_state.NotImplemented,
)


class OnnxRuntime:
    """Answers with a file that `osteolens export` wrote.

    Args:
        path: The `.onnx` file.
        card: The card that the file must have been exported from.
        threads: Threads for one operator.

    Raises:
        ExportError: No such file, not ONNX, of an older opset, or without the outputs of `Prediction`.
        CardError: The file was exported from another card; both hashes are named.
    """

    def __init__(self, path: Path, card: Card, threads: int = 1) -> None:
        ort.disable_telemetry_events()  # which models a hospital runs is private
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # Waiting threads sleep: on a machine that also has a server to run, spinning takes the cores from it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise ExportError(f"{path} cannot be loaded: {error}; {_again(card)}") from error
        _check(path, self.session, card)

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        """Answer a batch of prepared films, uint8 [N, 1, H, W]."""
        return Prediction(*self.session.run(None, {INPUT: films}))


def output_names(card: Card) -> list[str]:
    """The outputs, in order, of the graph of a model."""
    return [name for name in OUTPUTS if card.members or not name.startswith("member_")]


def _check(path: Path, session: ort.InferenceSession, card: Card) -> None:
    """Refuse a graph that is another model's, or that an older version exported."""
    outputs, expected = [output.name for output in session.get_outputs()], output_names(card)
    if outputs != expected:
        raise ExportError(f"{path} gives {', '.join(outputs)} and not {', '.join(expected)}; {_again(card)}")
    facts = session.get_modelmeta().custom_metadata_map
    if facts.get("opset") != str(OPSET):
        raise ExportError(f"{path} has opset {facts.get('opset', 'unknown')} and not {OPSET}; {_again(card)}")
    if facts.get("card_sha256") != card.sha256:
        raise CardError(
            f"{path} does not belong to its card: it was exported from a card with sha256 {facts.get('card_sha256')}, "
            f"the card of {card.name} has {card.sha256}; {_again(card)}"
        )


def _again(card: Card) -> str:
    return f"export it again: osteolens export weights/{card.name}"
