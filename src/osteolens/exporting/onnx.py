"""A trained model as an ONNX graph."""

import json
from pathlib import Path

import onnx
import torch

from osteolens import models
from osteolens.card import ONNX_FILE
from osteolens.exporting.check import ExportedModel, write_checked
from osteolens.inference.runtimes import Runtime
from osteolens.inference.runtimes.onnx import INPUT, OPSET, OnnxRuntime, output_names


def to_onnx(folder: Path, out: Path) -> Path:
    """Export a model folder to ONNX with a dynamic batch; arguments and errors are those of `to_torchscript`.

    The graph takes `films` uint8 [N, 1, H, W] and gives what `inference.runtimes.Prediction` holds, under the same
    names: answers, heat maps of every class and pooled features; that of an ensemble also gives its members' answers.
    The graph's metadata name the card's hash, the labels, the opset and the precision.
    """
    model, card = models.load(folder)

    def write(path: Path) -> Runtime:
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
        proto = program.model_proto
        metadata = {
            "card_sha256": card.sha256,
            "name": card.name,
            "version": card.version,
            "labels": json.dumps(card.labels),
            "opset": str(OPSET),
            "precision": "fp32",
        }
        onnx.helper.set_model_props(proto, metadata)
        onnx.save(proto, path)
        return OnnxRuntime(path, card)

    return write_checked(out / ONNX_FILE, write, model, card)
