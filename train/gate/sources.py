"""The pictures that the gate is fitted and tested on, thinned as the gate thins them, in parts that share nothing.

Films and implants are parted by group and by file name, knees of the osteoarthritis collection by person, and other
pictures by where they come from: a folder is named for one part or the other.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from osteolens.films.gate import coarse

Picture = NDArray[np.uint8]
Part = Literal["fit", "threshold", "test"]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dcm"}
MIN_SIDE, TRANSPARENT_BELOW = 64, 8
_DARK_MIDDLE = 0.45


@dataclass(frozen=True)
class Source:
    """A picture and where it is from.

    Attributes:
        name: The file's name.
        pixels: uint8 [h, w], thinned.
    """

    name: str
    pixels: Picture


def part_of(group: str, test: float = 0.3, threshold: float = 0.15) -> Part:
    """The part of a group, by chance but always the same."""
    share = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 16**8
    return "test" if share < test else "threshold" if share < test + threshold else "fit"


def films(table: Path) -> dict[Part, list[Source]]:
    """The films of a table with the columns `file` and `group`."""
    parts: dict[Part, list[Source]] = {"fit": [], "threshold": [], "test": []}
    for row in csv.DictReader(table.open()):
        parts[part_of(row["group"])].append(Source(row["file"], _grey(table.parent / row["file"])))
    return parts


def arthritis_knees(table: Path) -> dict[Part, list[Source]]:
    """The knees of a table with the columns `file`, `person` and `split`: `train` is fitted on, all else tests."""
    parts: dict[Part, list[Source]] = {"fit": [], "threshold": [], "test": []}
    for row in csv.DictReader(table.open()):
        part = part_of(row["person"], test=0, threshold=0.1) if row["split"] == "train" else "test"
        parts[part].append(Source(row["file"], _grey(table.parent / row["file"])))
    return parts


def halved(folder: Path) -> dict[Part, list[Source]]:
    """A folder of which each file is in one of two halves by chance."""
    parts: dict[Part, list[Source]] = {"fit": [], "threshold": [], "test": []}
    for source in pictures([folder]):
        parts[part_of(source.name, test=0.5, threshold=0)].append(source)
    return parts


def pictures(folders: Iterable[Path]) -> Iterator[Source]:
    """Every distinct picture under some folders; what is cut out of its background lies on grey."""
    seen = set()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            pixels = None if digest in seen else _picture(path)
            seen.add(digest)
            if pixels is not None and min(pixels.shape) >= MIN_SIDE and pixels.std() > TRANSPARENT_BELOW:
                yield Source(path.name, coarse(np.ascontiguousarray(pixels)))


def _picture(path: Path) -> Picture | None:
    if path.suffix.lower() == ".dcm":
        return _dicom(path)
    decoded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint8:
        return None
    if decoded.ndim == 3 and decoded.shape[2] == 4:
        alpha = decoded[..., 3:] / 255
        decoded = (decoded[..., :3] * alpha + 140 * (1 - alpha)).astype(np.uint8)
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2GRAY) if decoded.ndim == 3 else decoded


def _dicom(path: Path) -> Picture | None:
    """The first frame of a DICOM picture of any kind, scaled to its own range; None where there is none."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        pixels = np.asarray(dcmread(path).pixel_array, np.float32)
    except (InvalidDicomError, AttributeError, NotImplementedError, RuntimeError, ValueError, EOFError, TypeError):
        return None  # structured reports, damaged test files
    pixels = pixels[0] if pixels.ndim == 4 or (pixels.ndim == 3 and pixels.shape[2] > 4) else pixels
    pixels = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    low, high = np.quantile(pixels, [0.005, 0.995])
    return np.clip((pixels - low) / max(float(high - low), 1.0) * 255, 0, 255).astype(np.uint8)


def legs(source: Source) -> list[Source]:
    """Both halves of a film with two legs, told by the dark between them; none of any other."""
    height, width = source.pixels.shape
    columns = np.quantile(source.pixels[height // 4 : height * 3 // 4], 0.75, axis=0)
    beside = min(columns[width // 6 : width * 5 // 12].max(), columns[width * 7 // 12 : width * 5 // 6].max())
    if columns[width * 9 // 20 : width * 11 // 20].min() > _DARK_MIDDLE * beside:
        return []
    middle = width * 9 // 20 + int(columns[width * 9 // 20 : width * 11 // 20].argmin())
    sides = (source.pixels[:, :middle], source.pixels[:, middle:])
    return [Source(f"{source.name} half", np.ascontiguousarray(side)) for side in sides]


def _grey(path: Path) -> Picture:
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise FileNotFoundError(path)
    return coarse(pixels)
