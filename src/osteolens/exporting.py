"""A trained model as TorchScript and as ONNX; each file is run after it was written and compared with eager."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from osteolens import models
from osteolens.card import Card
from osteolens.errors import ExportError
from osteolens.models import KneeModel
from osteolens.runtime import Prediction, Runtime
from osteolens.runtime.onnx import OnnxRuntime
from osteolens.runtime.torchscript import TorchScriptRuntime

TORCHSCRIPT_FILE = "model.torchscript.pt"
ONNX_FILE = "model.onnx"
ONNX_OPSET = 20
CHECKED_BATCHES = (1, 2, 7, 32)
MAX_DIFFERENCE = 1e-4
"""Largest difference of a probability (and of a T-score) between an export and the eager model."""


class _Scriptable(nn.Module):
    """The model with `features` and `head` as methods of their own in the exported file."""

    def __init__(self, model: KneeModel) -> None:
        super().__init__()
        self.model = model

    @torch.jit.export
    def features(self, x: Tensor) -> Tensor:
        return self.model.features(x)

    @torch.jit.export
    def head(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.head(features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.features(x))


def to_torchscript(folder: Path, out: Path) -> Path:
    """Export a model folder to TorchScript.

    Args:
        folder: `card.json` and `weights.safetensors`.
        out: Folder for `model.torchscript.pt`.

    Returns:
        The file, whose module has `forward`, `features` and `head`.

    Raises:
        ExportError: The file does not give the eager model's answers; it is deleted.
    """
    model, card = models.load(folder)

    def write(path: Path) -> Runtime:
        scripted = torch.jit.script(_Scriptable(copy.deepcopy(model)).eval())
        scripted.save(str(path), _extra_files={"card.json": card.model_dump_json()})  # type: ignore[no-untyped-call]
        return TorchScriptRuntime(path)

    return _write_checked(out / TORCHSCRIPT_FILE, write, model, card)


def to_onnx(folder: Path, out: Path) -> Path:
    """Export a model folder to ONNX with a dynamic batch; see `to_torchscript` for arguments and errors.

    The graph takes `films` uint8 [N, 1, H, W] and gives `logits` float32 [N, K] and `t_score` float32 [N].
    Its metadata name the card's hash, the labels and the opset.
    """
    model, card = models.load(folder)

    def write(path: Path) -> Runtime:
        spec = card.preprocess
        example = torch.zeros(2, 1, spec.height, spec.width, dtype=torch.uint8)
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            input_names=["films"],
            output_names=["logits", "t_score"],
            dynamic_shapes={"x": {0: torch.export.Dim("batch")}},
            opset_version=ONNX_OPSET,
            verbose=False,
        )
        assert program is not None  # noqa: S101
        proto = program.model_proto
        metadata = {
            "card_sha256": card.sha256,
            "name": card.name,
            "version": card.version,
            "labels": json.dumps(card.labels),
            "opset": str(ONNX_OPSET),
        }
        onnx.helper.set_model_props(proto, metadata)
        onnx.save(proto, path)
        return OnnxRuntime(path)

    return _write_checked(out / ONNX_FILE, write, model, card)


def _write_checked(path: Path, write: Callable[[Path], Runtime], model: KneeModel, card: Card) -> Path:
    """Write beside the final name, compare with eager, and only then give the file its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".draft-{path.name}")
    try:
        _compare(write(draft), model, card, path.name)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _compare(exported: Runtime, model: KneeModel, card: Card, name: str) -> None:
    random = np.random.default_rng(0)
    for batch in CHECKED_BATCHES:
        films = random.integers(0, 256, (batch, 1, card.preprocess.height, card.preprocess.width), dtype=np.uint8)
        with torch.no_grad():
            logits, t_score = model(torch.from_numpy(films))
        difference = max_difference(Prediction(logits.numpy(), t_score.numpy()), exported.predict(films))
        if not difference < MAX_DIFFERENCE:
            raise ExportError(
                f"{name} differs from the eager model by {difference:.2g} at batch {batch} "
                f"(allowed is {MAX_DIFFERENCE:g}); no file was written"
            )


def max_difference(one: Prediction, other: Prediction) -> float:
    """Largest difference of a probability or a T-score; NaN where only one of them has T-scores."""
    probabilities = np.abs(one.probabilities - other.probabilities).max()
    if np.isnan(one.t_score).all() and np.isnan(other.t_score).all():
        return float(probabilities)
    return float(np.maximum(probabilities, np.abs(one.t_score - other.t_score).max()))
