"""A trained model as TorchScript and as ONNX; each file is run after it was written and compared with eager."""

import copy
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from torch import Tensor, nn

from osteolens import models
from osteolens.card import CARD_FILE, Card
from osteolens.errors import ExportError
from osteolens.files import whole
from osteolens.inference.runtimes import Prediction, Runtime
from osteolens.inference.runtimes.loading import ONNX_FILE, TORCHSCRIPT_FILE
from osteolens.inference.runtimes.onnx import INPUT, OPSET, OnnxRuntime, output_names
from osteolens.inference.runtimes.torchscript import TorchScriptRuntime
from osteolens.models import Model

CHECKED_BATCHES = (1, 2, 7, 32)
MAX_DIFFERENCE = 1e-4
"""Largest difference of a probability (and of a T-score) between an export and the eager model."""
MAX_MAP_DIFFERENCE = 1e-3
"""Largest difference of a heat map, as a share of the largest value of the film's maps."""


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
        ExportError: The file does not give the eager model's answers and is deleted, or `out` holds the file of a model
            of another name.
    """
    model, card = models.load(folder)

    def write(path: Path) -> Runtime:
        scripted = torch.jit.script(_Exported(copy.deepcopy(model)).eval())
        # Through a buffer: `save` would name the folder in the file after the draft, other bytes in each process.
        content = scripted.save_to_buffer(_extra_files={"card.json": card.model_dump_json()})  # type: ignore[no-untyped-call]
        path.write_bytes(content)
        return TorchScriptRuntime(path, card)

    return _write_checked(out / TORCHSCRIPT_FILE, write, model, card)


def to_onnx(folder: Path, out: Path) -> Path:
    """Export a model folder to ONNX with a dynamic batch; see `to_torchscript` for arguments and errors.

    The graph takes `films` uint8 [N, 1, H, W] and gives what `inference.runtimes.Prediction` holds, under the same
    names: answers, heat maps of every class and pooled features; that of an ensemble also gives its members' answers.
    The graph's metadata name the card's hash, the labels, the opset and the precision.
    """
    model, card = models.load(folder)

    def write(path: Path) -> Runtime:
        spec = card.preprocess
        example = torch.zeros(2, 1, spec.height, spec.width, dtype=torch.uint8)
        program = torch.onnx.export(
            _Exported(model).eval(),
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

    return _write_checked(out / ONNX_FILE, write, model, card)


def _write_checked(path: Path, write: Callable[[Path], Runtime], model: Model, card: Card) -> Path:
    """Write beside the final name, compare with eager, and only then give the file its name."""
    other = exported_name(path)
    if other not in (None, card.name):
        raise ExportError(
            f"{path} is that of {other}, and {card.name} would overwrite it: give each model a folder of its own, "
            f"for example --out build/{card.name}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as draft:
        _compare(write(draft), model, card, path.name)
    return path


def exported_name(path: Path) -> str | None:
    """The name of the model that a file was exported from; None where there is no file, or none of ours."""
    try:
        if path.suffix == ".onnx":
            facts = {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}
            return facts.get("name")
        with zipfile.ZipFile(path) as stored:
            card = next(name for name in stored.namelist() if name.endswith(f"/extra/{CARD_FILE}"))
            return str(json.loads(stored.read(card))["name"])
    except (OSError, ValueError, KeyError, StopIteration, DecodeError, zipfile.BadZipFile):
        return None


def _compare(exported: Runtime, model: Model, card: Card, name: str) -> None:
    random = np.random.default_rng(0)
    for batch in CHECKED_BATCHES:
        films = random.integers(0, 256, (batch, 1, card.preprocess.height, card.preprocess.width), dtype=np.uint8)
        with torch.no_grad():
            outputs = model.outputs(model.features(torch.from_numpy(films)))
        eager, answered = Prediction(*(output.numpy() for output in outputs)), exported.predict(films)
        found = {
            "": (max_difference(eager, answered), MAX_DIFFERENCE),
            " in its heat maps": (max_map_difference(eager, answered), MAX_MAP_DIFFERENCE),
        }
        for where, (difference, allowed) in found.items():
            if not difference < allowed:
                raise ExportError(
                    f"{name} differs from the eager model by {difference:.2g}{where} at batch {batch} "
                    f"(allowed is {allowed:g}); no file was written"
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


def max_map_difference(one: Prediction, other: Prediction) -> float:
    """Largest difference of a heat map, as a share of the largest value among the film's maps of `one`."""
    peaks = one.maps.max(axis=(1, 2, 3), keepdims=True)
    return float((np.abs(one.maps - other.maps) / np.maximum(peaks, np.finfo(np.float32).tiny)).max())


def _difference(one: NDArray[np.floating] | None, other: NDArray[np.floating] | None) -> float:
    """Largest difference of two arrays; 0 where both are absent or NaN throughout, NaN where only one of them is."""
    one, other = (np.full(1, np.nan) if values is None else values for values in (one, other))
    if np.isnan(one).all() and np.isnan(other).all():
        return 0.0
    return float(np.abs(one - other).max())
