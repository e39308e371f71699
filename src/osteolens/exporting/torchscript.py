"""A trained model as a TorchScript module."""

import copy
from pathlib import Path

import torch

from osteolens import models
from osteolens.card import CARD_FILE, TORCHSCRIPT_FILE
from osteolens.exporting.check import ExportedModel, write_checked
from osteolens.inference.runtimes import Runtime
from osteolens.inference.runtimes.torchscript import TorchScriptRuntime


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
        scripted = torch.jit.script(ExportedModel(copy.deepcopy(model)).eval())
        # Through a buffer: `save` would name the folder in the file after the draft, other bytes in each process.
        content = scripted.save_to_buffer(_extra_files={CARD_FILE: card.model_dump_json()})  # type: ignore[no-untyped-call]
        path.write_bytes(content)
        return TorchScriptRuntime(path, card)

    return write_checked(out / TORCHSCRIPT_FILE, write, model, card)
