"""A trained model as TorchScript and as ONNX; each file is run after it was written and compared with eager."""

import copy
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from osteolens import models
from osteolens.card import Card
from osteolens.errors import ExportError
from osteolens.models import Model
from osteolens.runtime import Prediction, Runtime
from osteolens.runtime.onnx import OnnxRuntime
from osteolens.runtime.torchscript import TorchScriptRuntime

TORCHSCRIPT_FILE = "model.torchscript.pt"
ONNX_FILE = "model.onnx"
ONNX_OPSET = 20
OUTPUTS = [output.name for output in fields(Prediction)]
"""Names of an ONNX graph's outputs: the first two for a single model, all for an ensemble."""
CHECKED_BATCHES = (1, 2, 7, 32)
MAX_DIFFERENCE = 1e-4
"""Largest difference of a probability (and of a T-score) between an export and the eager model."""


class _Exported(nn.Module):
    """All that a model answers; in TorchScript, `features` and `head` are methods of their own as well."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    @torch.jit.export
    def features(self, x: Tensor) -> Tensor:
        return self.model.features(x)

    @torch.jit.export
    def head(self, features: Tensor) -> list[Tensor]:
        return self.model.outputs(features)

    def forward(self, x: Tensor) -> list[Tensor]:
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
        scripted = torch.jit.script(_Exported(copy.deepcopy(model)).eval())
        scripted.save(str(path), _extra_files={"card.json": card.model_dump_json()})  # type: ignore[no-untyped-call]
        return TorchScriptRuntime(path)

    return _write_checked(out / TORCHSCRIPT_FILE, write, model, card)


def to_onnx(folder: Path, out: Path) -> Path:
    """Export a model folder to ONNX with a dynamic batch; see `to_torchscript` for arguments and errors.

    The graph takes `films` uint8 [N, 1, H, W] and gives `logits` float32 [N, K] and `t_score` float32 [N]; that of
    an ensemble also gives `member_logits` float32 [N, M, K] and `member_t_score` float32 [N, M]. The
    graph's metadata name the card's hash, the labels and the opset.
    """
    model, card = models.load(folder)

    def write(path: Path) -> Runtime:
        spec = card.preprocess
        example = torch.zeros(2, 1, spec.height, spec.width, dtype=torch.uint8)
        program = torch.onnx.export(
            _Exported(model).eval(),
            (example,),
            dynamo=True,
            input_names=["films"],
            output_names=OUTPUTS if card.members else OUTPUTS[:2],
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


def _write_checked(path: Path, write: Callable[[Path], Runtime], model: Model, card: Card) -> Path:
    """Write beside the final name, compare with eager, and only then give the file its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".draft-{path.name}")
    try:
        _compare(write(draft), model, card, path.name)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _compare(exported: Runtime, model: Model, card: Card, name: str) -> None:
    random = np.random.default_rng(0)
    for batch in CHECKED_BATCHES:
        films = random.integers(0, 256, (batch, 1, card.preprocess.height, card.preprocess.width), dtype=np.uint8)
        with torch.no_grad():
            outputs = model.outputs(model.features(torch.from_numpy(films)))
        difference = max_difference(Prediction(*(output.numpy() for output in outputs)), exported.predict(films))
        if not difference < MAX_DIFFERENCE:
            raise ExportError(
                f"{name} differs from the eager model by {difference:.2g} at batch {batch} "
                f"(allowed is {MAX_DIFFERENCE:g}); no file was written"
            )


def max_difference(one: Prediction, other: Prediction) -> float:
    """Largest difference of a probability or a T-score; NaN where only one of them has T-scores or members."""
    differences = (
        _difference(one.probabilities, other.probabilities),
        _difference(one.t_score, other.t_score),
        _difference(one.member_probabilities, other.member_probabilities),
        _difference(one.member_t_score, other.member_t_score),
    )
    return float(np.max(differences))


def _difference(one: NDArray[np.floating] | None, other: NDArray[np.floating] | None) -> float:
    """Largest difference of two arrays; 0 where both are absent or NaN throughout, NaN where only one of them is."""
    one, other = (np.full(1, np.nan) if values is None else values for values in (one, other))
    if np.isnan(one).all() and np.isnan(other).all():
        return 0.0
    return float(np.abs(one - other).max())
