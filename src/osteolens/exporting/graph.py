"""A model's ONNX graphs from its stored weights, without PyTorch.

`graph.onnx` beside a card is the graph that `osteolens.exporting.onnx` traced, without the weights: each tensor says
how it is made of the stored ones (`made_of`). Batch norms are folded into convolutions here as PyTorch folds them, to
the same bits.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import ModelProto
from safetensors.numpy import load_file

from osteolens.card import GRAPH_FILE, INT8_FILE, ONNX_FILE, WEIGHTS_FILE, Card, load_card
from osteolens.errors import ExportError
from osteolens.exporting.int8 import load_ranges, quantise
from osteolens.exporting.owner import check_owner
from osteolens.files import whole
from osteolens.inference.runtimes.onnx import OPSET, OnnxRuntime

MADE_OF, WEIGHTS_KEY = "made_of", "weights_sha256"
SMALL = 64
"""Bytes of the largest tensor that `graph.onnx` holds itself: the architecture's own constants."""

Weights = Mapping[str, NDArray[np.float32]]
"""A model's stored tensors by name."""


def write_graphs(folder: Path, out: Path) -> list[Path]:
    """Write a model's graphs, in fp32 and where the card accepts it in int8.

    Args:
        folder: A model folder with `graph.onnx`.
        out: Folder for `model.onnx` and `model.int8.onnx`.

    Returns:
        The files.

    Raises:
        CardError: Card and weights do not belong together.
        ExportError: There is no `graph.onnx`, or it is that of other weights; or `out` holds another model's files.
    """
    card = load_card(folder)
    model = filled(load_graph(folder, card), load_weights(folder))
    onnx.helper.set_model_props(model, facts(card))
    check_owner(out / ONNX_FILE, card)
    out.mkdir(parents=True, exist_ok=True)
    with whole(out / ONNX_FILE) as draft:
        onnx.save(model, draft)
        OnnxRuntime(draft, card)  # it can be loaded, and is the card's
    return [out / ONNX_FILE, *write_int8(folder, card, out)]


def write_int8(folder: Path, card: Card, out: Path) -> list[Path]:
    """Write the int8 graph beside the fp32 one where the card accepts it, else delete an earlier card's."""
    if card.accepts("int8"):
        return [quantise(out / ONNX_FILE, load_ranges(folder), card, out / INT8_FILE)]
    (out / INT8_FILE).unlink(missing_ok=True)
    return []


def has_graph(folder: Path) -> bool:
    """Whether the graphs of a model folder can be written without PyTorch."""
    return (folder / GRAPH_FILE).is_file()


def up_to_date(folder: Path, out: Path) -> bool:
    """Whether `out` holds the graphs of a model folder's card."""
    card = load_card(folder, check_weights=False)
    files = [ONNX_FILE, INT8_FILE] if card.accepts("int8") else [ONNX_FILE]
    return all(_card_of(out / name) == card.sha256 for name in files)


def _card_of(path: Path) -> str | None:
    try:
        facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    except (OSError, DecodeError):
        return None
    return facts.get("card_sha256")


def load_graph(folder: Path, card: Card) -> ModelProto:
    """The graph of a model folder, without weights.

    Raises:
        ExportError: There is none, it is malformed, or it is that of other weights.
    """
    path = folder / GRAPH_FILE
    again = f"make it with PyTorch: osteolens export {folder} --trace"
    try:
        model = onnx.load(path)
    except FileNotFoundError:
        raise ExportError(f"no {GRAPH_FILE} in {folder}; {again}") from None
    except DecodeError as error:
        raise ExportError(f"{path} is no ONNX graph; {again}") from error
    traced = {entry.key: entry.value for entry in model.metadata_props}.get(WEIGHTS_KEY)
    if traced != card.weights_sha256:
        raise ExportError(
            f"{path} is that of weights with sha256 {traced}, those of {card.name} have {card.weights_sha256}; {again}"
        )
    return model


def load_weights(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The stored tensors of a model folder, in fp32."""
    return {name: values.astype(np.float32) for name, values in load_file(folder / WEIGHTS_FILE).items()}


def facts(card: Card) -> dict[str, str]:
    """The metadata of a model's fp32 graph."""
    return {
        "card_sha256": card.sha256,
        "name": card.name,
        "version": card.version,
        "labels": json.dumps(card.labels),
        "opset": str(OPSET),
        "precision": "fp32",
    }


def filled(graph: ModelProto, weights: Weights) -> ModelProto:
    """The whole graph: each tensor that says what it is made of gets its values."""
    model = ModelProto()
    model.CopyFrom(graph)
    for tensor in model.graph.initializer:
        for entry in tensor.metadata_props:
            values = made_of(entry.value, weights).reshape(tuple(tensor.dims))
            tensor.raw_data = values.astype("<f4").tobytes()
        del tensor.metadata_props[:]
    return model


def without_weights(model: ModelProto, recipes: Mapping[str, str], weights: Weights, card: Card) -> ModelProto:
    """The graph to store: tensors that have a recipe lose their values.

    Args:
        model: A traced graph.
        recipes: Name of a tensor to what `made_of` takes.
        weights: The model's, as `load_weights` gives them.
        card: The model's.

    Raises:
        ExportError: A recipe does not give the traced values to the bit, or a large tensor has none.
    """
    graph = ModelProto()
    graph.CopyFrom(model)
    for tensor in graph.graph.initializer:
        recipe = recipes.get(tensor.name)
        if recipe:
            if made_of(recipe, weights).astype("<f4").tobytes() != tensor.raw_data:
                raise ExportError(f"the tensor {tensor.name} is not {recipe!r} of the stored weights")
            tensor.ClearField("raw_data")
            tensor.metadata_props.add(key=MADE_OF, value=recipe)
        elif len(tensor.raw_data) > SMALL:
            raise ExportError(f"nothing says how the tensor {tensor.name} is made of the stored weights")
    onnx.helper.set_model_props(graph, {WEIGHTS_KEY: card.weights_sha256})
    return graph


def made_of(recipe: str, weights: Weights) -> NDArray[np.float32]:
    """The values of a tensor, float32.

    Args:
        recipe: `stored NAME`: as it is; `share NAME AREA`: divided by the number of cells of the feature map;
            `weight CONVOLUTION NORM EPSILON [STD]` and `bias CONVOLUTION NORM EPSILON`: a convolution with a batch norm
            folded in, and with STD one that reads grey instead of three channels divided by it.
        weights: Stored tensors by name.
    """
    kind, name, *rest = recipe.split()
    if kind == "stored":
        return weights[name]
    if kind == "share":
        return weights[name] / np.float32(rest[0])
    norm, epsilon, *std = rest
    mean, variance, scale, shift = (
        weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    factor = np.float32(1) / np.sqrt(variance + np.float32(epsilon))
    if kind == "bias":
        bias = weights.get(f"{name}.bias", np.zeros_like(mean))
        return np.asarray((bias - mean) * factor * scale + shift)
    values = weights[f"{name}.weight"]
    if std:
        values = (values / weights[std[0]]).sum(axis=1, keepdims=True)
    return np.asarray(values * (scale * factor)[:, None, None, None])
