"""One look at each file: its facts, a thumbnail, and the local features by which copies and crops are found."""

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from osteolens.datasets.fingerprints import thumbnail
from osteolens.errors import InputError
from osteolens.films.acquisition import NAMES, measure
from osteolens.films.gate import AS_IT_SHOULD, Checked, Gate
from osteolens.films.lie import Lie
from osteolens.films.read import Picture, read
from osteolens.quality import Reason

SIDE = 320
"""Longer side, in pixels, of the picture that features are taken from and pictures are compared at."""
_CONTRAST = 0.004
"""SIFT's contrast threshold: a tenth of OpenCV's, as smooth pictures give few strong corners."""
_DARK, _BRIGHT, _FLAT = 10, 245, 2.0


@dataclass(frozen=True)
class Facts:
    """Facts about a file for which nobody has to look at the knee; each could be a shortcut to the label.

    Attributes:
        format: One of `osteolens.films.read.SUPPORTED`.
        colour: The file's own mode: `L`, `RGB`, `I;16`; empty where it is not known.
        quality: Sum of the first JPEG quantisation table (higher is coarser); 0 where it is no JPEG.
        device: Maker and model from EXIF; mostly empty.
        width: Pixels, as displayed.
        height: Pixels, as displayed.
        size: Bytes of the file.
        brightness: Mean grey, 0 to 255.
        contrast: Standard deviation of the grey.
        dark: Share of pixels that are (almost) black.
        bright: Share of pixels that are (almost) white.
        borders: Shares of height or width taken by plain borders: top, bottom, left, right.
        acquisition: How the film was taken, by the names of `osteolens.films.acquisition.NAMES`.
        file_sha256: SHA-256 of the bytes.
        pixel_sha256: SHA-256 of the decoded grey picture.
        warnings: As `osteolens.films.read.read` gave them.
    """

    format: str
    colour: str
    quality: int
    device: str
    width: int
    height: int
    size: int
    brightness: float
    contrast: float
    dark: float
    bright: float
    borders: tuple[float, float, float, float]
    acquisition: dict[str, float]
    file_sha256: str
    pixel_sha256: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """A picture as the audit holds it in memory.

    Attributes:
        facts: See `Facts`.
        thumb: uint8 [64, 64], the whole picture squeezed into a square (`datasets.fingerprints.thumbnail`).
        small: uint8 [h, w], at most `SIDE` pixels long.
        points: float32 [N, 4], SIFT keypoints of `small`, strongest first: x, y, diameter (pixels), angle (degrees).
        descriptors: uint8 [N, 128].
        lie: How the film lies, where it is turned or inverted and the gate would right it.
        refused: Why the gate would not have the picture answered.
    """

    facts: Facts
    thumb: NDArray[np.uint8]
    small: NDArray[np.uint8]
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    lie: Lie = AS_IT_SHOULD
    refused: tuple[Reason, ...] = ()


def look_at_all(paths: Sequence[Path], features: int, console: Console, gate: Gate | None = None) -> list[Seen | str]:
    """Look at files on all cores: what was seen, or in one sentence why nothing was.

    Threads are enough, as decoding and feature extraction run outside the interpreter's lock.
    """
    quiet = not console.is_terminal
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = pool.map(lambda path: look(path, features, gate), paths)
        return list(track(looks, "reading pictures", total=len(paths), console=console, disable=quiet))


def look(path: Path, features: int, gate: Gate | None = None) -> Seen | str:
    """Look at one file; at most so many features are kept, and a gate is asked if there is one."""
    try:
        data = path.read_bytes()
        picture = read(data)
    except InputError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    small = _shrunk(picture.pixels)
    points, descriptors = extract(small, features)
    facts, thumb = _facts(data, picture, small), thumbnail(picture.pixels)
    checked = gate.righted(picture.pixels) if gate else Checked(picture.pixels)
    return Seen(facts, thumb, small, points, descriptors, checked.lie, checked.reasons)


def extract(small: NDArray[np.uint8], features: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The strongest SIFT features (Lowe 2004) of a picture uint8 [h, w]: see `Seen.points` and `Seen.descriptors`."""
    sift = cv2.SIFT.create(nfeatures=features, contrastThreshold=_CONTRAST)
    keypoints, descriptors = sift.detectAndCompute(small, None)
    if descriptors is None:
        return np.empty((0, 4), np.float32), np.empty((0, 128), np.uint8)
    # SIFT gives more than `nfeatures` where several are equally strong, and not in order.
    strongest = np.argsort([-point.response for point in keypoints], kind="stable")[:features]
    points = np.array([(*point.pt, point.size, point.angle) for point in keypoints], np.float32)
    return points[strongest], descriptors[strongest].astype(np.uint8)


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = SIDE / max(pixels.shape)
    if scale >= 1:
        return pixels
    height, width = pixels.shape
    size = max(8, round(width * scale)), max(8, round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _facts(data: bytes, picture: Picture, small: NDArray[np.uint8]) -> Facts:
    colour, quality, device = _making(data)
    height, width = picture.pixels.shape
    return Facts(
        format=picture.format,
        colour=colour,
        quality=quality,
        device=device,
        width=width,
        height=height,
        size=len(data),
        brightness=float(small.mean()),
        contrast=float(small.std()),
        dark=float((small <= _DARK).mean()),
        bright=float((small >= _BRIGHT).mean()),
        borders=_borders(small),
        acquisition=dict(zip(NAMES, measure(picture.pixels), strict=True)),
        file_sha256=hashlib.sha256(data).hexdigest(),
        # With the shape: 2 x 3 and 3 x 2 pixels may have the same bytes.
        pixel_sha256=hashlib.sha256(repr(picture.pixels.shape).encode() + picture.pixels.tobytes()).hexdigest(),
        warnings=picture.warnings,
    )


def _making(data: bytes) -> tuple[str, int, str]:
    """`Facts.colour`, `quality` and `device`; unknown for films that Pillow does not read: DICOM, HEIC, rare TIFFs."""
    try:
        with Image.open(io.BytesIO(data)) as header:
            exif = header.getexif()
            maker = " ".join(str(exif.get(tag, "")) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
            tables = getattr(header, "quantization", {})
            return header.mode, sum(tables[0]) if tables else 0, maker.replace("\0", "").strip()
    except UnidentifiedImageError:
        return "", 0, ""


def _borders(small: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """Depth of the rows and columns of (almost) one grey at each edge, as shares of the picture."""
    rows, columns = small.std(axis=1) > _FLAT, small.std(axis=0) > _FLAT
    return (_lead(rows), _lead(rows[::-1]), _lead(columns), _lead(columns[::-1]))


def _lead(structured: NDArray[np.bool_]) -> float:
    return float(structured.argmax() / len(structured)) if structured.any() else 1.0
