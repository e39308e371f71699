"""An int8 graph from an fp32 graph and the ranges of its activations, which were measured on films once.

The first layers stay in fp32: quantising them changes the answers most and saves the least time. Layers between others
could not: ONNX Runtime quantises an fp32 convolution between int8 ones by itself, with one step for all its weights.
Here weights become int8 per channel, activations uint8. Without measured ranges there is no graph.
"""

import json
import math
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from osteolens.card import RANGES_FILE, Card, Sha256
from osteolens.errors import CardError, ExportError
from osteolens.files import whole, write_text

PRECISION = "int8"
OPERATORS = ("Add", "Clip", "Concat", "Conv", "Mul", "Sigmoid")
METHOD = "smallest and largest value over all films, 4 digits; weights int8 per channel, activations uint8"
_STEPS_OF_TWO = 126.9
"""How many steps a channel's two largest weights have together before rounding, which may add 1 to each."""

Range = tuple[float, float]


class ActivationRanges(BaseModel):
    """What `quantise` needs beside the fp32 graph: the measured range of each activation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    weights_sha256: Sha256 = Field(description="of the model that they were measured on")
    films: int = Field(ge=1, description="how many they were measured on")
    method: str = METHOD
    fp32: tuple[str, ...] = Field(description="nodes that could compute in int8 and do not")
    tensors: dict[str, Range] = Field(description="lowest and highest value of each tensor that becomes uint8")

    def save(self, folder: Path) -> Path:
        """Write `activation_ranges.json` into a model folder, one tensor per line, and return its path."""
        path = folder / RANGES_FILE
        *rest, (_, tensors) = self.model_dump(mode="json").items()
        lines = [f'  "{name}": {json.dumps(value)}' for name, value in rest]
        rows = ",\n".join(f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in tensors.items())
        write_text(path, "{\n" + ",\n".join([*lines, f'  "tensors": {{\n{rows}\n  }}']) + "\n}\n")
        return path


def load_ranges(folder: Path) -> ActivationRanges:
    """Read the ranges of a model folder; `quantise` checks that they are its weights'.

    Raises:
        ExportError: There are none, or the file is malformed.
    """
    path = folder / RANGES_FILE
    again = f"measure them on films: osteolens quantise runs/crossed --model {folder} --data films.csv"
    try:
        return ActivationRanges.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ExportError(f"no {RANGES_FILE} in {folder}, and int8 needs the ranges of activations; {again}") from None
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"]) or "the file"
        raise ExportError(f"{path}: {place}: {error.errors()[0]['msg']}; {again}") from error


def quantise(graph: Path, ranges: ActivationRanges, card: Card, out: Path) -> Path:
    """Write the int8 graph: the same inputs give the same bytes.

    Args:
        graph: What `osteolens.exporting.onnx.to_onnx` wrote.
        ranges: Measured on this graph, see `osteolens.evaluation.int8.ranges`.
        card: The model's card.
        out: The file to write. Its metadata are the fp32 graph's, but for `precision`.

    Returns:
        `out`.

    Raises:
        CardError: The graph or the ranges belong to another model.
        ExportError: The ranges are not those of this graph's tensors.
    """
    model = onnx.load(graph)
    chosen = _chosen(graph, model, ranges, card)
    lowest_highest = {name: tuple(np.float32(value) for value in pair) for name, pair in ranges.tensors.items()}
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,  # `_steps` leaves no more room to overflow than it, and finer steps
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, lowest_highest),
        nodes_to_quantize=chosen,
        nodes_to_exclude=[],
        op_types_to_quantize=list(OPERATORS),
        extra_options={
            "TensorQuantOverrides": _rounded_weights(model, chosen, ranges),
            "QDQDisableWeightAdjustForInt32Bias": True,  # `_steps` has seen to it
        },
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    facts = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(quantizer.model.model, facts | {"precision": PRECISION})
    out.parent.mkdir(parents=True, exist_ok=True)
    with whole(out) as draft:
        onnx.save(quantizer.model.model, draft)
    return out


def layers(model: ModelProto) -> dict[str, int]:
    """Which nodes could compute in int8: name to the most convolutions on a way from the film through the node.

    These are the nodes between the normalised film and the pooled feature map; heads and heat maps stay in fp32.
    """
    depth: dict[str, int] = {}
    for node in model.graph.node:  # in topological order
        before = max((depth.get(name, 0) for name in node.input), default=0)
        depth |= dict.fromkeys(node.output, before + (node.op_type == "Conv"))
    pools = [node for node in _ancestors(model, ["pooled"]) if node.op_type == "ReduceMean"]
    body = _ancestors(model, [node.input[0] for node in pools])
    return {node.name: depth[node.output[0]] for node in body if node.op_type in OPERATORS and depth[node.output[0]]}


def tensors_beside(model: ModelProto, names: Collection[str]) -> list[str]:
    """The activations that some nodes take and give, in the graph's order."""
    constant = {tensor.name for tensor in model.graph.initializer}
    beside = [name for node in model.graph.node if node.name in names for name in (*node.input, *node.output)]
    return [name for name in dict.fromkeys(beside) if name not in constant]


def _chosen(graph: Path, model: ModelProto, ranges: ActivationRanges, card: Card) -> list[str]:
    """The nodes to quantise, once it is certain that graph, ranges and card belong together."""
    again = f"export and measure again: osteolens export weights/{card.name}, then osteolens quantise"
    exported_from = {entry.key: entry.value for entry in model.metadata_props}.get("card_sha256")
    if exported_from != card.sha256:
        raise CardError(
            f"{graph} was exported from a card with sha256 {exported_from}, that of {card.name} has {card.sha256}; "
            f"{again}"
        )
    if ranges.weights_sha256 != card.weights_sha256:
        raise CardError(
            f"the ranges were measured on weights with sha256 {ranges.weights_sha256}, those of {card.name} have "
            f"{card.weights_sha256}; {again}"
        )
    known = layers(model)
    chosen = [name for name in known if name not in ranges.fp32]
    expected = set(tensors_beside(model, chosen))
    wrong = sorted((set(ranges.fp32) - known.keys()) | (expected ^ ranges.tensors.keys()))
    if wrong or not chosen:
        raise ExportError(f"the ranges are not those of {graph}: {wrong[0] if wrong else 'none is left'}; {again}")
    return chosen


def _ancestors(model: ModelProto, tensors: Iterable[str]) -> list[NodeProto]:
    """The nodes that some tensors are computed by, in the graph's order."""
    wanted, nodes = set(tensors), []
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            nodes.append(node)
    return nodes[::-1]


def _rounded_weights(
    model: ModelProto, chosen: Sequence[str], ranges: ActivationRanges
) -> dict[str, list[dict[str, Any]]]:
    """Round the convolutions' weights to their int8 grids, and return the grids as ONNX Runtime's overrides."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    grids: dict[str, list[dict[str, Any]]] = {}
    for node in model.graph.node:
        if node.name not in chosen or node.op_type != "Conv":
            continue
        name, bias = node.input[1], np.zeros(1, np.float32)
        if len(node.input) > 2:
            bias = numpy_helper.to_array(constants[node.input[2]])
        weights = numpy_helper.to_array(constants[name])
        low, high = ranges.tensors[node.input[0]]
        steps = _steps(weights, bias, (max(high, 0.0) - min(low, 0.0)) / 255)
        on_grid = round_weights(weights, steps) * steps[:, None, None, None]
        constants[name].CopyFrom(numpy_helper.from_array(on_grid.astype(np.float32), name))
        grid = [{"quant_type": QuantType.QInt8, "scale": step, "zero_point": np.int8(0)} for step in steps]
        grids[name] = [grid[0] | {"axis": 0}, *grid[1:]]
    return grids


def _steps(weights: NDArray[np.float32], bias: NDArray[np.float32], input_step: float) -> NDArray[np.float32]:
    """The size of one int8 step for each output channel.

    Processors without dot-product instructions (VNNI) add two products of a uint8 and an int8 in 16 bits and cut off
    what does not fit. So no two weights of a channel may be above 128 steps together: then every processor gives the
    same answers. And a bias, which is counted in input step x weight step, has to fit into 32 bits.
    """
    largest = np.sort(np.abs(weights.reshape(len(weights), -1)), axis=1)[:, -2:].sum(axis=1)
    smallest = np.abs(bias) / (max(input_step, 1e-12) * 2.0**30)
    steps: NDArray[np.float32] = np.maximum(np.maximum(largest / _STEPS_OF_TWO, smallest), 1e-12).astype(np.float32)
    return steps


def round_weights(weights: NDArray[np.float32], steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whole steps whose sum over each kernel is that of the weights within half a step (largest remainder).

    The ground under a film's detail is a nearly constant grey: errors that add up over a kernel would shift it.

    Args:
        weights: float32 [O, I, h, w]; a kernel is h x w, or all I where that is 1 x 1.
        steps: float32 [O].

    Returns:
        Whole numbers of steps, float32 [O, I, h, w].
    """
    exact = (weights / steps[:, None, None, None]).reshape(len(weights), -1, math.prod(weights.shape[2:]))
    if exact.shape[2] == 1:
        exact = exact.transpose(0, 2, 1)
    whole = np.rint(exact)
    left = exact - whole
    missing = np.rint(left.sum(axis=2, keepdims=True))
    rank = np.argsort(np.argsort(-left * np.sign(missing), axis=2, kind="stable"), axis=2, kind="stable")
    whole += np.sign(missing) * (rank < np.abs(missing))
    return np.asarray(whole.reshape(weights.shape), np.float32)
