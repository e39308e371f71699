"""Small films, a small model, and what builds them."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from osteolens.datasets.films import Film
from osteolens.models import KneeModel
from osteolens.training.config import Configuration
from osteolens.training.engine import Learner
from osteolens.training.objective import Objective
from osteolens.training.optimise import Schedule, build_optimiser, choose_precision

GREY = {"normal": 200, "osteopenia": 150, "osteoporosis": 100}
T_SCORE = {"normal": 0.0, "osteopenia": -1.5, "osteoporosis": -3.0}
AGE = {"normal": 30, "osteopenia": 50, "osteoporosis": 70}


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def save_film(path: Path, grey: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels = np.clip(grey + random.normal(0, 20, (72, 72)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


TINY = """
[dataset]
name = "Squares"
[data]
validation = 0.2
test = 0.2
[preprocess]
height = 64
width = 64
[optimisation]
epochs = {epochs}
batch_size = 6
learning_rate = 2e-3
warmup_epochs = 1.0
"""


def configuration(**sections: dict[str, Any]) -> Configuration:
    return Configuration.model_validate({"dataset": {"name": "Squares"}} | sections)


def film(label: str = "normal", group: str = "g", **values: Any) -> Film:
    return Film(place="line 2", path=Path("a.png"), file="a.png", group=group, label=label, **values)


def tiny_learner(**objective: float) -> Learner:
    """A model of one convolution."""
    torch.manual_seed(0)
    backbone = nn.Conv2d(3, 4, 3)
    model = KneeModel(backbone, 4, 3, has_t_score=True, mean=(0.5,) * 3, std=(0.5,) * 3)
    precision = choose_precision("fp32", torch.device("cpu"))
    settings = {"label_smoothing": 0.0, "t_score_weight": 1.0} | objective
    return Learner(
        model=model,
        objective=Objective(torch.ones(3), **settings),
        optimiser=build_optimiser(model, 0.01, 0.1),
        schedule=Schedule(peak=0.01, steps_per_epoch=2, epochs=3, warmup_epochs=0),
        precision=precision,
        scaler=precision.scaler(),
    )


def tiny_batches(count: int = 2) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    random = torch.Generator().manual_seed(1)
    return [
        (
            torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8, generator=random),
            torch.tensor([0, 1, 2, 1]),
            torch.tensor([0.0, -1.5, -3.0, float("nan")]),
        )
        for _ in range(count)
    ]
