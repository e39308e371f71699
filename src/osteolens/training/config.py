"""The settings of a training run, read from TOML: one class per section, one default per key."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from osteolens.card import PreprocessSpec
from osteolens.errors import DataError, in_words


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DatasetSection(_Section):
    """Where the films come from, for the model card."""

    name: str = Field(min_length=1, examples=["Knee films of Springfield Hospital, 2015 to 2024"])
    source: str = Field("", examples=["the authors, and an identifier"])
    licence: str = Field("", examples=["CC BY 4.0"])


class DataSection(_Section):
    """Which rows are used, and how groups are split into training, validation and test."""

    labels: tuple[str, ...] = Field(
        (),
        strict=False,
        description="the labels from least to most severe; needed where their names do not say it, as numbers do",
        examples=[["none", "mild", "severe"]],
    )
    border: str = Field(
        "",
        description="clinical border: a film counts as ill from this label on, which is what the model has to be shown "
        "to know; empty: osteoporosis, or else the last label",
        examples=["mild"],
    )
    condition: str = Field(
        "",
        max_length=60,
        description="what the labels grade, said wherever the model answers; empty: osteoporosis where that is a label",
        examples=["osteoarthritis"],
    )
    skip: str = Field("", description="column of the table; rows where it is true are left out", examples=["conflict"])
    held_out: str = Field("", description="column of the table; rows where it is true are the test films")
    gate: bool = Field(
        True, description="give the model the gate that refuses all but knees from the front, where it fits the films"
    )
    validation: float = Field(
        0.15, ge=0, le=0.4, description="share of all groups that chooses the best epoch; 0: the last epoch is taken"
    )
    test: float = Field(
        0.25, ge=0.1, le=0.5, description="share of all groups held out until the end, where held_out names no column"
    )
    split_seed: int = Field(0, ge=0, description="apart from run.seed, so that trials share their held-out groups")


class ModelSection(_Section):
    """Architecture and starting weights."""

    architecture: str = Field("tf_efficientnet_lite0", description="a timm EfficientNet, or yolov5n, yolov5s, yolov5m")
    pretrained: bool = Field(True, description="start from weights that the architecture comes with")
    start: str = Field("", description="a model folder whose backbone to start from", examples=["weights/knee_oa"])
    dropout: float = Field(0.2, ge=0, lt=1, description="share of pooled features dropped")
    mirrored: bool = Field(False, description="answer by the mean over a film and its mirror image, at twice the time")
    frozen_blocks: int = Field(
        0, ge=0, le=6, description="the stem and this many of an EfficientNet's blocks stay as they start; 0: none"
    )


class AugmentSection(_Section):
    """How far each training film is changed; 0 leaves a step out."""

    rotation: float = Field(8.0, ge=0, le=45, description="largest angle in degrees, either way")
    shift: float = Field(0.05, ge=0, le=0.5, description="largest shift as a share of the side")
    zoom: float = Field(0.1, ge=0, le=0.5, description="largest change of scale, 0.1 is 0.9 to 1.1")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    brightness: float = Field(0.15, ge=0, lt=1, description="largest change of the brightness factor")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest change of the contrast factor")
    gamma: float = Field(0.2, ge=0, le=1, description="largest change of the natural logarithm of gamma")
    blur: float = Field(1.0, ge=0, le=5, description="largest standard deviation in pixels, for half of the films")
    noise: float = Field(0.02, ge=0, le=0.2, description="standard deviation, white is 1, for half of the films")
    patches: float = Field(0.5, ge=0, le=1, description="probability of an erased patch")
    borders: float = Field(0.1, ge=0, le=0.3, description="largest strip erased at each side, as a share of it")


class OptimisationSection(_Section):
    """Optimiser AdamW, with a linear warm-up and a cosine to zero."""

    epochs: int = Field(30, ge=1, description="at most this many passes over the training films")
    batch_size: int = Field(16, ge=2)
    learning_rate: float = Field(3e-4, gt=0, le=1, description="at the end of the warm-up")
    head_factor: float = Field(1.0, ge=0.1, le=100, description="the heads' learning rate over that of the backbone")
    weight_decay: float = Field(0.02, ge=0, le=1, description="on weights, not on biases and batch norms")
    warmup_epochs: float = Field(2.0, ge=0)
    weight_average: float = Field(
        0.0, ge=0, lt=1, description="decay of the moving average of weights that is scored and saved; 0: none"
    )
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    class_weights: Literal["balanced", "none"] = Field("balanced", description="balanced: each class counts the same")
    ordinal_weight: float = Field(
        0.0, ge=0, le=100, description="factor of the squared error of the expected label's rank; 0 leaves it out"
    )
    t_score_weight: float = Field(1.0, ge=0, le=100, description="factor of the T-score's loss; 0 leaves T-scores out")
    choose_by: Literal["loss", "quadratic-weighted kappa"] = Field(
        "loss", description="what says which epoch is the best on the validation films; kappa is for ordered labels"
    )
    patience: int = Field(10, ge=1, description="stop after this many epochs that were no better by choose_by")


class RunSection(_Section):
    """Seed, processes and number format."""

    seed: int = Field(0, ge=0, description="random seed of starting weights, order of films, augmentation and dropout")
    workers: int = Field(0, ge=0, description="processes that augment films; 0 does it in the training process")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto: the fastest that fits")


class Configuration(_Section):
    """A whole training run; only `[dataset] name` has no default."""

    dataset: DatasetSection
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    preprocess: PreprocessSpec = PreprocessSpec()
    augment: AugmentSection = AugmentSection()
    optimisation: OptimisationSection = OptimisationSection()
    run: RunSection = RunSection()


def load_configuration(path: Path) -> Configuration:
    """Read a TOML configuration.

    Raises:
        DataError: It cannot be read, or a key or value is wrong; names the key, what was found and a valid example.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"the configuration {path} cannot be read: {in_words(error)}") from error
    try:
        return Configuration.model_validate(values)
    except ValidationError as error:
        raise DataError(f"{path}: {_sentence(error.errors()[0])}") from error


def _sentence(error: ErrorDetails) -> str:
    """Message with the wrong key, what was found, and a line that would be right."""
    place = error["loc"]
    key = ".".join(str(part) for part in place)
    section, example = _example(place)
    if error["type"] == "extra_forbidden":
        return f"{key} is not a known key; {section} knows {', '.join(example)}"
    where = f"in [{place[0]}], {example[0]}" if len(place) > 1 else example[0]
    if error["type"] == "missing":
        return f"{key} is missing; for example, {where}"
    return f"{key} is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}; for example, {where}"


def _example(place: Sequence[int | str]) -> tuple[str, list[str]]:
    """Section of a key, and a valid line for the key, or all keys of the section if the key is unknown."""
    section: type[BaseModel] = Configuration
    name = "the file"
    for part in place:
        field = section.model_fields.get(str(part))
        if field is None:
            return name, list(section.model_fields)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            section, name = field.annotation, f"[{part}]"
        else:
            return name, [_line(str(part), field.examples[0] if field.examples else field.default)]
    first, field = next(iter(section.model_fields.items()))
    return name, [f"{name} with the line {_line(first, field.examples[0] if field.examples else field.default)}"]


def _line(key: str, value: Any) -> str:
    return f"{key} = {json.dumps(value)}"
