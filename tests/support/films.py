"""Small films, tables of them and a run's settings."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from osteolens.datasets.films import Film

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
[model]
architecture = "test_efficientnet"
pretrained = false
[preprocess]
height = 64
width = 64
[optimisation]
epochs = {epochs}
batch_size = 6
learning_rate = 2e-3
warmup_epochs = 1.0
"""


def film(label: str = "normal", group: str = "g", **values: Any) -> Film:
    return Film(place="line 2", path=Path("a.png"), file="a.png", group=group, label=label, **values)
