"""Which model an exported file was made from: one model's export must not overwrite another's."""

import json
import zipfile
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from osteolens.card import CARD_FILE, Card
from osteolens.errors import ExportError


def check_owner(path: Path, card: Card) -> None:
    """Make sure that a file may be written.

    Raises:
        ExportError: It is there, exported from a model of another name.
    """
    owner = exported_name(path)
    if owner not in (None, card.name):
        raise ExportError(
            f"{path} is that of {owner}, and {card.name} would overwrite it: give each model a folder of its own, "
            f"for example --out build/{card.name}"
        )


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
