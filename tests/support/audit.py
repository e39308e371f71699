"""Made-up films with enough structure to be known again, and data sets of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from osteolens.audit.copies import Match, origins
from osteolens.audit.findings import Collection
from osteolens.audit.pictures import Facts, Seen
from osteolens.audit.rows import DataSet, Row
from osteolens.films.acquisition import NAMES

Picture = NDArray[np.uint8]


def film(seed: int, height: int = 240, width: int = 200) -> Picture:
    """Two bones of spongy texture on a dark ground; no two seeds alike."""
    random = np.random.default_rng(seed)
    texture = sum(
        weight * cv2.GaussianBlur(random.normal(size=(height, width)), (0, 0), blur) * blur
        for blur, weight in ((1.5, 90), (4, 90), (10, 60))
    )
    rows, columns = np.mgrid[0:height, 0:width]
    middle, level = random.uniform((0.4, 0.4), (0.6, 0.6))
    shaft = np.exp(-(((columns / width - middle) / 0.28) ** 4))
    joint = 1 - 0.7 * np.exp(-(((rows / height - level) / 0.03) ** 2))
    return np.clip(25 + shaft * joint * (110 + texture), 0, 255).astype(np.uint8)


def turned(picture: Picture, degrees: float) -> Picture:
    height, width = picture.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)
    return np.asarray(cv2.warpAffine(picture, matrix, (width, height)), np.uint8)


def resized(picture: Picture, width: int, height: int) -> Picture:
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def save(path: Path, picture: Picture, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(picture)).save(path, **options)
    return path


def facts(**values: Any) -> Facts:
    usual = {"format": "JPEG", "colour": "L", "quality": 0, "device": "", "width": 100, "height": 120, "size": 1000}
    measured = {"brightness": 80.0, "contrast": 40.0, "dark": 0.2, "bright": 0.0, "borders": (0.0,) * 4}
    measured["acquisition"] = dict.fromkeys(NAMES, 0.5)
    rest = {"file_sha256": "a", "pixel_sha256": "b", "warnings": ()}
    return Facts(**usual | measured | rest | values)


def seen(**values: Any) -> Seen:
    """A picture of which only the facts matter."""
    return Seen(
        facts(**values),
        np.zeros((64, 64), np.uint8),
        np.zeros((12, 10), np.uint8),
        np.empty((0, 4), np.float32),
        np.empty((0, 128), np.uint8),
    )


def row(file: str, label: str = "", group: str = "", part: str = "", **values: str) -> Row:
    return Row(file, file, Path(file), tuple(label.split("|")) if label else (), group, part, values)


def collection(
    rows: Sequence[Row],
    others: Sequence[Row] = (),
    matches: Sequence[tuple[int, int]] = (),
    pictures: Mapping[int, Seen] | None = None,
    problems: Mapping[int, str] | None = None,
) -> Collection:
    """Rows of a data set and of the one it is compared with; pictures given by number match as copies."""
    columns = tuple({name: None for picture in rows for name in picture.values})
    both = (*rows, *others)
    pairs = tuple(Match(first, second, "copy") for first, second in matches)
    return Collection(
        DataSet("a.csv", tuple(rows), columns, ()),
        DataSet("b.csv", tuple(others), (), ()) if others else None,
        both,
        {number: seen() for number in range(len(both))} if pictures is None else pictures,
        problems or {},
        pairs,
        origins(len(both), pairs),
    )
