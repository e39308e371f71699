"""The model card: every fact about a model that code or a reader needs, beside its weights.

A card travels as `card.json` next to `weights.safetensors`, inside each archive, and every answer names its
version and hash. Code reads its numbers from here and holds none of its own.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from osteolens.errors import CardError

CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PreprocessSpec(_Frozen):
    """The parameters of `osteolens.preprocess.prepare`."""

    height: int = Field(224, ge=32, le=2048, description="input height in pixels")
    width: int = Field(224, ge=32, le=2048, description="input width in pixels")
    crop_borders: bool = Field(True, description="cut off empty black or white borders first")


class Metric(_Frozen):
    """One measured figure with its interval."""

    name: str
    value: float
    low: float = Field(description="lower end of the 95 % interval")
    high: float = Field(description="upper end of the 95 % interval")


class Evaluation(_Frozen):
    """Figures of one predictor under one protocol."""

    subject: str = Field(description="what was measured: the model, or a baseline")
    protocol: str = Field(description="how: which films, which split, which interval")
    films: int
    groups: int
    metrics: tuple[Metric, ...]


class TrainingData(_Frozen):
    """Where the films came from, and how many were used for what."""

    name: str
    source: str = ""
    licence: str = ""
    split: str = Field(description="how films were kept apart")
    films: dict[str, int] = Field(description="films per part of the split")
    groups: dict[str, int] = Field(description="groups per part of the split")


class Card(_Frozen):
    """A model card, schema version 1."""

    schema_version: Literal[1] = 1
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="the name it is served under"
    )
    version: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){0,2}$")] = "1.0"
    architecture: str = Field(description="a name `osteolens.models.build` knows")
    labels: tuple[str, ...] = Field(min_length=2)
    has_t_score: bool = Field(description="whether the T-score head was trained")
    preprocess: PreprocessSpec
    weights_sha256: Sha256
    data: TrainingData
    evaluations: tuple[Evaluation, ...] = ()
    intended_use: str = "Research on knee radiographs. Not a diagnostic device."
    licence: str = "AGPL-3.0-or-later"

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be distinct, found {list(self.labels)}")
        return self

    @property
    def sha256(self) -> str:
        """Hash of the content: the same for any layout of the JSON file."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def save(self, folder: Path) -> Path:
        """Write `card.json` into a folder and return its path."""
        path = folder / CARD_FILE
        path.write_text(json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
        return path


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_card(folder: Path, *, check_weights: bool = True) -> Card:
    """Read the card of a model folder and check that it belongs to the weights there.

    Args:
        folder: Holds `card.json` and `weights.safetensors`.
        check_weights: Compare the weights' hash with the card's.

    Raises:
        CardError: The card is missing or malformed, or the hashes differ (both are named).
    """
    path = folder / CARD_FILE
    try:
        card = Card.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise CardError(f"no {CARD_FILE} in {folder}: expected a model folder such as weights/efficientnet") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CardError(f"{path}: {place}: {first['msg']}") from error
    if check_weights:
        weights = folder / WEIGHTS_FILE
        if not weights.is_file():
            raise CardError(f"no {WEIGHTS_FILE} in {folder}")
        found = file_sha256(weights)
        if found != card.weights_sha256:
            raise CardError(
                f"{weights} does not belong to its card: its sha256 is {found}, the card says {card.weights_sha256}"
            )
    return card
