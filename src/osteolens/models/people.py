"""Reader of persons: sex, age, BMI, bisphosphonate use and Kellgren-Lawrence grade of a knee.

Not a diagnosis: it says whether a picture can belong to the row of a table that names it.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor

from osteolens.card import WEIGHTS_FILE, Metric, PreprocessSpec, TrainingData, file_sha256
from osteolens.errors import CardError
from osteolens.files import write_text
from osteolens.films.joints import Finder
from osteolens.films.knees import prepare_each
from osteolens.films.prepare import Prepared, prepare
from osteolens.models.base import KneeModel
from osteolens.models.build import build, for_inference
from osteolens.models.folder import load_weights, save_weights
from osteolens.parameters import Frozen

PEOPLE_FILE = "people.json"
GRADES, QUANTILES = 5, 101
OUTPUTS = ("female", "age", "bmi", "bisphosphonate", *(f"grade_{grade}" for grade in range(GRADES)))
"""Outputs of the network: logits, but for the standardised `age` and `bmi`."""
FEMALE, AGE, BMI, BISPHOSPHONATE = range(4)
GRADE = slice(4, 4 + GRADES)


class Scale(Frozen):
    """Mean and standard deviation of a measured fact in the training films."""

    mean: float
    deviation: float = Field(gt=0)


class Spread(Frozen):
    """Scores of held-out persons in summary: what to expect of pictures that belong to their rows.

    Estimated age is slope x age + intercept, with the deviation of what is left.
    """

    women: tuple[float, ...] = Field(
        min_length=QUANTILES, max_length=QUANTILES, description="percentiles 0 to 100 of women's log-odds of a woman"
    )
    men: tuple[float, ...] = Field(min_length=QUANTILES, max_length=QUANTILES, description="likewise of men")
    age_slope: float
    age_intercept: float
    age_residual: float = Field(gt=0, description="years")


class PeopleCard(Frozen):
    """Card of a reader of persons: how it reads, and what it reaches on persons that it never saw."""

    schema_version: Literal[1] = 1
    name: str
    architecture: str
    preprocess: PreprocessSpec
    weights_sha256: str
    data: TrainingData
    age: Scale
    bmi: Scale
    held_out: Spread | None = None
    metrics: tuple[Metric, ...] = ()
    licence: str = "AGPL-3.0-or-later"

    def save(self, folder: Path) -> None:
        """Write the card into a folder."""
        write_text(folder / PEOPLE_FILE, json.dumps(self.model_dump(mode="json"), indent=2) + "\n")


def prepare_knee(pixels: NDArray[np.uint8], spec: PreprocessSpec) -> NDArray[np.uint8]:
    """A knee uint8 [H, W] as the reader takes it, uint8 [1, h, w]: `prepare`, then contrast equalised in tiles.

    CLAHE (Zuiderveld 1994) brings films of other devices nearer to the cohort's, which were published so.
    """
    return equalised(prepare(pixels, spec))


def prepare_knees(pixels: NDArray[np.uint8], spec: PreprocessSpec, finder: Finder | None) -> list[NDArray[np.uint8]]:
    """Every knee on a film uint8 [H, W], each as `prepare_knee` gives it; the whole film where no joint is found."""
    joints = finder.find(pixels) if finder else ()
    each = spec.model_copy(update={"view": "each knee"})
    return [equalised(knee) for knee in prepare_each(pixels, each, joints, (None,) * len(joints))]


def equalised(knee: Prepared) -> NDArray[np.uint8]:
    """A prepared knee with its contrast equalised in tiles, uint8 [1, h, w]."""
    return np.asarray(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(knee.array[0])[None])


@dataclass(frozen=True)
class PeopleReader:
    """A trained reader."""

    model: KneeModel
    card: PeopleCard

    @torch.no_grad()
    def read(
        self, pictures: NDArray[np.uint8], batch_size: int = 32
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Read prepared knees, the mean over each and its mirror image.

        Args:
            pictures: uint8 [N, 1, h, w] of `prepare_knee`.
            batch_size: Pictures at once.

        Returns:
            Outputs float64 [N, 9] in the order of `OUTPUTS`, age in years and BMI in kg/m2; pooled features float32
            [N, C].
        """
        parts = [self._read(batch) for batch in torch.split(torch.from_numpy(pictures), batch_size)]
        outputs = torch.cat([outputs for outputs, _ in parts]).double().numpy()
        for column, scale in ((AGE, self.card.age), (BMI, self.card.bmi)):
            outputs[:, column] = outputs[:, column] * scale.deviation + scale.mean
        return outputs, torch.cat([pooled for _, pooled in parts]).numpy()

    def _read(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        pooled = (self._pool(batch) + self._pool(batch.flip(3))) / 2
        return self.model.answers(pooled)[0], pooled  # linear, so the mean of both outputs

    def _pool(self, batch: Tensor) -> Tensor:
        return self.model.features(batch).mean(dim=(2, 3))


def save_reader(folder: Path, model: KneeModel, card: PeopleCard) -> PeopleCard:
    """Write weights and card into a folder; the card as written has the weights' hash."""
    folder.mkdir(parents=True, exist_ok=True)
    card = card.model_copy(update={"weights_sha256": file_sha256(save_weights(model, folder))})
    card.save(folder)
    return card


def load_reader(folder: Path) -> PeopleReader:
    """The reader of a folder with `people.json` and `weights.safetensors`.

    Raises:
        CardError: A file is missing or damaged, or they do not fit each other.
    """
    try:
        card = PeopleCard.model_validate_json((folder / PEOPLE_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise CardError(
            f"{folder} holds no reader of persons ({str(error).splitlines()[0]}); "
            f"expected a folder with {PEOPLE_FILE} and {WEIGHTS_FILE}, such as train/knee_people.py writes"
        ) from error
    if not (folder / WEIGHTS_FILE).is_file() or file_sha256(folder / WEIGHTS_FILE) != card.weights_sha256:
        raise CardError(f"{folder / WEIGHTS_FILE} is not there, or is not the file that {PEOPLE_FILE} names")
    model = build(card.architecture, len(OUTPUTS), has_t_score=False)
    try:
        model.load_state_dict(load_weights(folder))
    except RuntimeError as error:
        raise CardError(f"{folder / WEIGHTS_FILE} are not weights of {card.architecture}: {error}") from error
    return PeopleReader(for_inference(model), card)
