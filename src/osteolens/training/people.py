"""A cohort whose patients' facts are known, and the loss that the reader of persons learns from it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from osteolens.datasets import values
from osteolens.datasets.tables import open_table
from osteolens.errors import DataError, InputError
from osteolens.films.read import read
from osteolens.models.people import AGE, BISPHOSPHONATE, BMI, FEMALE, GRADE, Scale, prepare_knee
from osteolens.training.config import Configuration

TARGETS = ("sex", "age", "bmi", "bisphosphonate_baseline", "kl")
"""Columns of the cohort's table, in the order of `People.facts`; a cell may be empty."""
WEIGHTS = (1.0, 1.0, 0.5, 0.5, 0.5)
"""Factor of each target's loss."""
HELD_OUT = "val"


@dataclass(frozen=True)
class People:
    """Knees with the facts of their persons.

    Attributes:
        files: N paths as the table gives them.
        persons: N.
        held_out: bool [N].
        facts: float32 [N, 5] in the order of `TARGETS`: sex 1 for women, age in years, BMI in kg/m2, bisphosphonate use
            1 or 0 (of women only), grade 0 to 4; NaN where unknown.
        pictures: uint8 [N, 1, h, w] of `prepare_knee`.
    """

    files: Sequence[str]
    persons: Sequence[str]
    held_out: NDArray[np.bool_]
    facts: NDArray[np.float32]
    pictures: NDArray[np.uint8]

    def among(self, held_out: bool) -> "People":
        """The held-out knees, or the others."""
        chosen = np.flatnonzero(self.held_out == held_out)
        files, persons = (np.array(names)[chosen].tolist() for names in (self.files, self.persons))
        return People(files, persons, self.held_out[chosen], self.facts[chosen], self.pictures[chosen])


def read_people(source: Path, config: Configuration, console: Console) -> People:
    """Read a table with the columns file, person, split and those of `TARGETS`, and its pictures.

    Raises:
        DataError: A column, a value or a picture is wrong, or a person is on both sides of the split.
    """
    table = open_table(source)
    if missing := [name for name in ("file", "person", "split", *TARGETS) if name not in table.columns]:
        raise DataError(f"{source} has no column {missing[0]!r}; its columns are {', '.join(table.columns)}")
    rows = list(table)
    facts, pictures, spec = [], [], config.preprocess
    for row in track(rows, "reading knees", console=console):
        try:
            facts.append(_facts(row.cells))
            pictures.append(prepare_knee(read(source.parent / row.cells["file"]).pixels, spec))
        except (ValueError, InputError, OSError) as error:
            raise DataError(f"{source}, {row.place}: {error}") from error
    held_out = np.array([row.cells["split"] == HELD_OUT for row in rows])
    persons = [row.cells["person"] for row in rows]
    sides = [{p for p, out in zip(persons, held_out, strict=True) if out == side} for side in (False, True)]
    if not all(sides) or sides[0] & sides[1]:
        raise DataError(
            f"{source}: the column split must leave persons on either side ({HELD_OUT!r}: held out), none on both; "
            f"{len(sides[0])} train, {len(sides[1])} are held out, {len(sides[0] & sides[1])} are on both sides"
        )
    return People([row.cells["file"] for row in rows], persons, held_out, np.stack(facts), np.stack(pictures))


def _facts(cells: dict[str, str]) -> NDArray[np.float32]:
    sex = values.sex(cells["sex"])
    numbers = [float(cells[name]) if cells[name] else math.nan for name in TARGETS[1:]]
    facts = np.array([{"female": 1, "male": 0}.get(sex, math.nan), *numbers], np.float32)
    if facts[0] != 1:
        facts[BISPHOSPHONATE] = np.nan  # hardly any man takes them, so that the score would tell sex instead
    return facts


@dataclass(frozen=True)
class PeopleLoss:
    """Sum of the targets' losses, each over the knees whose fact is known.

    Attributes:
        age: Mean and deviation that age is standardised by.
        bmi: Likewise.
    """

    age: Scale
    bmi: Scale

    def __call__(self, logits: Tensor, _: Tensor, facts: Tensor, __: Tensor) -> Tensor:
        """The loss of a batch: outputs float [N, 9] and facts float [N, 5] to a scalar."""
        logits = logits.float()
        age, bmi = ((facts[:, column] - s.mean) / s.deviation for column, s in ((AGE, self.age), (BMI, self.bmi)))
        losses = (
            _over_known(F.binary_cross_entropy_with_logits, logits[:, FEMALE], facts[:, FEMALE]),
            _over_known(F.mse_loss, logits[:, AGE], age),
            _over_known(F.mse_loss, logits[:, BMI], bmi),
            _over_known(F.binary_cross_entropy_with_logits, logits[:, BISPHOSPHONATE], facts[:, BISPHOSPHONATE]),
            _over_known(lambda x, y: F.cross_entropy(x, y.long()), logits[:, GRADE], facts[:, 4]),
        )
        return torch.stack([weight * loss for weight, loss in zip(WEIGHTS, losses, strict=True)]).sum()


def _over_known(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, facts: Tensor) -> Tensor:
    known = facts.isfinite()
    return loss(outputs[known], facts[known]) if known.any() else outputs.sum() * 0
