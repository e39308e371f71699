"""Model card: every fact about a model that code or a reader needs, beside its weights.

A card travels as `card.json` next to `weights.safetensors`, inside each archive, and every answer names its
version and hash. Code reads these numbers from the card and has none of its own.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from osteolens.errors import CardError
from osteolens.files import write_text
from osteolens.parameters import (
    FittedOn,
    Frozen,
    Fusion,
    OperatingPoints,
    Temperature,
    TScoreInterval,
    VectorScaling,
    expect,
    fusion_inputs,
)

# Names of all files in a model folder and among its exports. They are not in `models.folder`, because the web app and a
# worker that answers from ONNX need them without PyTorch.
CARD_FILE, WEIGHTS_FILE, RANGES_FILE = "card.json", "weights.safetensors", "activation_ranges.json"
FILMS_FILE, GRAPH_FILE, FINDER_FILE = "training_films.json", "graph.onnx", "joints.onnx"
ONNX_FILE, INT8_FILE, TORCHSCRIPT_FILE = "model.onnx", "model.int8.onnx", "model.torchscript.pt"

BEYOND_ACQUISITION = "image beyond acquisition"
"""Subject of the evaluation of what the image tells beyond how the films were taken."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


View = Literal["whole film", "each knee"]


class PreprocessSpec(Frozen):
    """Parameters of `osteolens.films.prepare.prepare`."""

    height: int = Field(224, ge=32, le=2048, description="input height in pixels")
    width: int = Field(224, ge=32, le=2048, description="input width in pixels")
    crop_borders: bool = Field(True, description="cut off empty black or white borders first")
    centre_height: float = Field(1.0, ge=0.2, le=1, description="share of the height kept around the centre")
    centre_width: float = Field(1.0, ge=0.2, le=1, description="share of the width kept around the centre")
    # Left out of the JSON where they say nothing, so that cards from before them keep their hash.
    view: View = Field(
        "whole film",
        exclude_if=lambda value: value == "whole film",
        description="`each knee`: each knee is cut out in a standard frame (`osteolens.films.joints`) and answered by "
        "itself; the film's answer is that of the worse knee",
    )
    mirror_to: Literal["left", "right"] | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="for `each knee`: a knee of the other side is mirrored, so that the model sees one side only",
    )


class Metric(Frozen):
    """One measured figure with its interval."""

    name: str
    value: float
    low: float = Field(description="lower end of the 95 % interval")
    high: float = Field(description="upper end of the 95 % interval")


class Evaluation(Frozen):
    """Figures of one predictor under one protocol."""

    subject: str = Field(description="the predictor: the model, or a baseline")
    protocol: str = Field(description="films, split and interval")
    films: int
    groups: int
    metrics: tuple[Metric, ...]


class Difference(Frozen):
    """Figures of a predictor minus those of a baseline, on the same films and the same bootstrap resamples."""

    predictor: str
    baseline: str
    metrics: tuple[Metric, ...]


class TrainingData(Frozen):
    """Origin of the films, and their number in each part of the split."""

    name: str
    source: str = ""
    licence: str = ""
    split: str = Field(description="how films were kept apart")
    films: dict[str, int] = Field(description="films per part of the split")
    groups: dict[str, int] = Field(description="groups per part of the split")


class Quantisation(Frozen):
    """Comparison of a graph of lower precision with the fp32 graph, on films that the models never saw.

    Labels are compared twice: as they are answered, and before calibration, as a calibration that pulls all answers
    to one label would hide every change.
    """

    precision: Literal["int8"] = "int8"
    accepted: bool
    reasons: tuple[str, ...] = Field((), description="reasons of a refusal")
    protocol: str
    films: int
    auroc: dict[str, float] = Field(description="AUROCs of the quantised graph")
    auroc_fp32: dict[str, float]
    label_disagreement: float = Field(ge=0, le=1, description="share of films with another label")
    uncalibrated_label_disagreement: float = Field(ge=0, le=1, description="the same before calibration")
    triage_disagreement: float = Field(ge=0, le=1, description="share of films in another triage zone")
    largest_difference: float = Field(ge=0, description="largest change of a calibrated probability")
    mean_difference: float = Field(ge=0, description="mean change of a calibrated probability")
    largest_uncalibrated_difference: float = Field(
        ge=0, description="largest change of a probability before calibration"
    )
    map_cosine: float = Field(description="mean cosine between the heat maps of the answered label; 1: the same shape")
    maps: int = Field(0, description="heat maps of the shipped graphs that are strong enough to be compared")
    maps_held: float | None = Field(None, ge=0, le=1, description="share of them that are bright in the same places")


class Parent(Frozen):
    """Model whose calibration, operating points, intervals and fusions were fitted again; the weights are the same."""

    name: str
    version: str
    card_sha256: Sha256
    place: str = Field(description="films that they were fitted on, in words")


class Card(Frozen):
    """A model card, schema version 1."""

    schema_version: Literal[1] = 1
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="the name it is served under"
    )
    version: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+){0,2}$")] = "1.0"
    architecture: str = Field(description="a name `osteolens.models.build` knows, or `ensemble`")
    members: tuple[str, ...] = Field((), description="architecture of each member of an ensemble, in order")
    labels: tuple[str, ...] = Field(min_length=2)
    border: str | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="clinical border: a film counts as ill from this label on, and that question decides what the "
        "model was shown to know; none: osteoporosis, or else the last label",
    )
    condition: str | None = Field(
        None,
        exclude_if=lambda value: value is None,
        min_length=1,
        max_length=60,
        description="what the labels grade, such as `osteoarthritis`; none: osteoporosis where that is a label, else "
        "the labels speak for themselves",
    )
    has_t_score: bool = Field(description="whether the T-score head was trained")
    preprocess: PreprocessSpec
    mirrored: bool = Field(
        False,
        exclude_if=lambda value: not value,
        description="whether an answer is the mean over the film and its mirror image",
    )
    weights_sha256: Sha256
    joints_sha256: Sha256 | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="joint finder that cuts out the knees; none for a model of whole films",
    )
    data: TrainingData
    evaluations: tuple[Evaluation, ...] = ()
    differences: tuple[Difference, ...] = Field(
        (),
        exclude_if=lambda value: not value,
        description="AUROCs of the image, and of the image with facts, less those of age and sex on the same films",
    )
    trial: bool = Field(
        False,
        exclude_if=lambda value: not value,
        description="whether the figures are of the films that chose the epoch: they flatter, and are no evidence",
    )
    calibration: Temperature | VectorScaling | None = Field(
        None, discriminator="method", description="none: the probabilities are the softmax of the logits"
    )
    operating_points: OperatingPoints | None = Field(None, description="none: no triage")
    no_triage: str = Field("", description="why there are no operating points")
    t_score_interval: TScoreInterval | None = None
    fusion: tuple[Fusion, ...] = Field(
        (), description="from few inputs to many; the last whose inputs are given counts"
    )
    # Left out of the JSON where it is none, so that cards from before it keep their hash.
    fitted_on: FittedOn | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="none: the numbers above are fitted on all predictions that the evaluations are about",
    )
    parent: Parent | None = Field(
        None, exclude_if=lambda value: value is None, description="none: the parameters are the training's own"
    )
    quantisation: tuple[Quantisation, ...] = Field((), description="result of the guard for each lower precision")
    map_peaks: dict[str, Annotated[float, Field(gt=0)]] = Field(
        {},
        description="label to the median peak of its Grad-CAM map over films of the model's data set that have this "
        "label: by comparison a map is weak or strong; without one the strength of a label's maps is unknown",
    )
    intended_use: str = "Research on knee radiographs. Not a diagnostic device."
    licence: str = "AGPL-3.0-or-later"

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be distinct, found {list(self.labels)}")
        return self

    @model_validator(mode="after")
    def _parameters_fit_the_model(self) -> Self:
        """Refuse a parameter for another label or input when the card is read, not when a film is."""
        count = len(self.labels)
        ill = self.labels[1:]
        expect(self.border is None or self.border in ill, f"border: {self.border!r} is not one of {', '.join(ill)}")
        if isinstance(self.calibration, VectorScaling):
            lengths = {len(self.calibration.scale), len(self.calibration.bias)}
            expect(lengths == {count}, f"calibration: not {count} labels")
        for points in (self.operating_points, *(fusion.operating_points for fusion in self.fusion)):
            expect(points is None or points.label in self.labels, f"operating points: no label of {list(self.labels)}")
        for fusion in self.fusion:
            known = fusion_inputs(self.labels, fusion.inputs, has_t_score=self.has_t_score)
            used = fusion.coefficients.keys() | (fusion.t_score.coefficients.keys() if fusion.t_score else set())
            expect(used <= set(known), f"fusion: unknown inputs {sorted(used - set(known))}; known are {list(known)}")
            lengths = {len(fusion.intercepts), *(len(row) for row in fusion.coefficients.values())}
            expect(lengths == {count}, f"fusion: not {count} labels")
        strange = sorted(self.map_peaks.keys() - set(self.labels))
        expect(not strange, f"map peaks: {strange} are not among the labels {list(self.labels)}")
        return self

    @property
    def sha256(self) -> str:
        """Hash of the content, whatever the layout of the JSON file."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def figures(self, subject: str) -> dict[str, Metric]:
        """Figures of a predictor by name; empty where it was not evaluated."""
        return {metric.name: metric for each in self.evaluations if each.subject == subject for metric in each.metrics}

    def accepts(self, precision: str) -> bool:
        """Whether the guard accepted the graph of this precision."""
        return any(result.precision == precision and result.accepted for result in self.quantisation)

    def save(self, folder: Path) -> Path:
        """Write `card.json` into a folder and return its path."""
        path = folder / CARD_FILE
        write_text(path, json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
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
        actual = file_sha256(weights)
        if actual != card.weights_sha256:
            raise CardError(
                f"{weights} does not belong to its card: its sha256 is {actual}, the card says {card.weights_sha256}"
            )
    return card
