"""A trained model as an ONNX graph, traced from PyTorch."""

import math
from pathlib import Path

import onnx
import torch
from onnx import ModelProto

from osteolens import models
from osteolens.card import GRAPH_FILE, ONNX_FILE, Card, load_card
from osteolens.exporting.check import ExportedModel, write_checked
from osteolens.exporting.graph import Weights, facts, load_weights, made_of, without_weights
from osteolens.files import whole
from osteolens.inference.runtimes import Runtime
from osteolens.inference.runtimes.onnx import INPUT, OPSET, OnnxRuntime, output_names
from osteolens.models.build import foldable_norms, grey_stem


def to_onnx(folder: Path, out: Path) -> Path:
    """Export a model folder to ONNX with a dynamic batch; arguments and errors are those of `to_torchscript`.

    The graph takes `films` uint8 [N, 1, H, W] and gives what `inference.runtimes.Prediction` holds, under the same
    names: answers, heat maps of every class and pooled features; that of an ensemble also gives its members' answers.
    The graph's metadata name the card's hash, the labels, the opset and the precision.
    """
    model, card = models.load(folder)

    def write(path: Path) -> Runtime:
        proto = _traced(model, card)
        onnx.helper.set_model_props(proto, facts(card))
        onnx.save(proto, path)
        return OnnxRuntime(path, card)

    return write_checked(out / ONNX_FILE, write, model, card)


def write_graph(folder: Path, exported: Path) -> Path:
    """Write `graph.onnx` into a model folder, from which `exporting.graph` makes the exported file again.

    Args:
        folder: The model folder.
        exported: What `to_onnx` wrote.

    Raises:
        ExportError: The file's tensors cannot be made of the stored weights to the bit.
    """
    card, weights, proto = load_card(folder), load_weights(folder), onnx.load(exported)
    stored = without_weights(proto, _recipes(models.untrained(card), proto, weights), weights, card)
    with whole(folder / GRAPH_FILE) as draft:
        onnx.save(stored, draft)
    return folder / GRAPH_FILE


def _traced(model: models.Model, card: Card) -> ModelProto:
    spec = card.preprocess
    example = torch.zeros(2, 1, spec.height, spec.width, dtype=torch.uint8)
    program = torch.onnx.export(
        ExportedModel(model).eval(),
        (example,),
        dynamo=True,
        input_names=[INPUT],
        output_names=output_names(card),
        dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None  # noqa: S101
    return without_folders(program.model_proto)


def without_folders(proto: ModelProto) -> ModelProto:
    """A traced graph without the tracer's notes of where in whose folders each node was computed; it is changed."""
    for part in (proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        del part.metadata_props[:]
    return proto


def _recipes(model: models.Model, proto: ModelProto, weights: Weights) -> dict[str, str]:
    """How each tensor of a traced graph is made of the stored weights, see `exporting.graph.made_of`."""
    recipes = {f"model.{name}": f"stored {name}" for name in weights}
    members = list(model.members) if isinstance(model, models.Ensemble) else [model]
    area = math.prod(proto.graph.output[2].type.tensor_type.shape.dim[axis].dim_value for axis in (2, 3))
    for index, member in enumerate(members):
        prefix = f"members.{index}." if isinstance(model, models.Ensemble) else ""
        stem = grey_stem(member)
        for convolution, norm in foldable_norms(member):
            folded = f"{prefix}{convolution} {prefix}{norm} {member.get_submodule(norm).eps}"
            recipes[f"model.{prefix}{convolution}.weight"] = f"weight {folded}" + f" {prefix}std" * (
                convolution == stem
            )
            recipes[f"model.{prefix}{convolution}.bias"] = f"bias {folded}"
        # The tracer computes these constants and gives them names of its own.
        maps = f"share {prefix}classifier.weight {area}"
        values = made_of(maps, weights).tobytes()
        recipes |= {tensor.name: maps for tensor in proto.graph.initializer if tensor.raw_data == values}
    return recipes
