"""Fingerprints of films: they tell whether a film is one that a model has learned from, and hold no film.

The list of a model lies beside its weights and not in its card: it is as long as the training set, and every answer
names the hash of the card. It tells copies of whole films, also resized, encoded again, mirrored or turned; parts that
were cut out of a film are found only where the films themselves are at hand (`osteolens.audit.copies`).
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from osteolens.card import FILMS_FILE, WEIGHTS_FILE, file_sha256
from osteolens.errors import DataError, InputError, in_words
from osteolens.files import write_text
from osteolens.films.read import read

Floats = NDArray[np.float32]
Pose = tuple[bool, int]

THUMB = 64
POSES: tuple[Pose, ...] = tuple((mirror, quarters) for mirror in (False, True) for quarters in range(4))
"""The eight ways to lay a rectangle on a rectangle: mirrored left to right first, then turned anticlockwise."""
_BLUR, _WINDOW, _FLOOR = 1.5, 4.0, 4.0

_HASH_BYTES, _SKETCH_BYTES = 16, 128
ALIKE = 0.2
"""Share of a sketch's bits in which two films may differ and be one.

Measured: copies of 45 knee films (224 x 224, 128 x 256, JPEG quality 20, mirrored, turned, gamma, CLAHE, noise) differ
in 0.13 at most; of 177 different films any two in 0.287 at least, of 826 OAI knees (all centred, lit alike) in 0.259.
"""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a film.

    Attributes:
        file: First 16 bytes of the SHA-256 of the file.
        pixels: First 16 bytes of the SHA-256 of the decoded picture.
        sketch: uint8 [128], the signs of 1024 random projections of the thumbnail's detail.
    """

    file: bytes
    pixels: bytes
    sketch: NDArray[np.uint8]

    def text(self) -> str:
        """All three as base64."""
        return base64.b64encode(self.file + self.pixels + self.sketch.tobytes()).decode()

    @classmethod
    def of_text(cls, text: str) -> Self:
        """What `text` wrote; ValueError for anything else."""
        content = base64.b64decode(text, validate=True)
        if len(content) != 2 * _HASH_BYTES + _SKETCH_BYTES:
            raise ValueError(f"a fingerprint has {len(content)} bytes and not {2 * _HASH_BYTES + _SKETCH_BYTES}")
        sketch = np.frombuffer(content, np.uint8, offset=2 * _HASH_BYTES)
        return cls(content[:_HASH_BYTES], content[_HASH_BYTES : 2 * _HASH_BYTES], sketch)


@dataclass(frozen=True)
class TrainingFilms:
    """The films that a model has learned from: its training and validation films, and those of a recalibration.

    Attributes:
        fingerprints: One per film.
        complete: Whether no film is missing, as after the recalibration of a model that had no list.
    """

    fingerprints: Sequence[Fingerprint]
    complete: bool = True

    def write(self, folder: Path) -> Path:
        """Write `training_films.json` beside a model's weights; sorted, so that the order tells nothing."""
        content = {
            "schema": 1,
            "weights_sha256": file_sha256(folder / WEIGHTS_FILE),
            "complete": self.complete,
            "fingerprints": sorted({fingerprint.text() for fingerprint in self.fingerprints}),
        }
        path = folder / FILMS_FILE
        write_text(path, json.dumps(content, indent=0) + "\n")
        return path

    def recognise(self, films: Sequence[Fingerprint], posed: Sequence[NDArray[np.uint8]]) -> dict[int, str]:
        """How each film that is among these is known, by its number.

        Args:
            films: The films in question.
            posed: Of each film its sketches in all `POSES`, uint8 [8, 128].
        """
        files = {fingerprint.file for fingerprint in self.fingerprints}
        pixels = {fingerprint.pixels for fingerprint in self.fingerprints}
        sketches = np.array([fingerprint.sketch for fingerprint in self.fingerprints]).reshape(-1, _SKETCH_BYTES)
        known: dict[int, str] = {}
        for number, (film, poses) in enumerate(zip(films, posed, strict=True)):
            if film.file in files:
                known[number] = "the same file"
            elif film.pixels in pixels:
                known[number] = "the same picture in another file"
            elif len(sketches) and _off(poses, sketches).min() <= ALIKE:
                known[number] = "a copy"
        return known


def read_training_films(folder: Path, weights_sha256: str) -> TrainingFilms | None:
    """The list beside a model's weights; None where there is none.

    Raises:
        DataError: The list is damaged, or belongs to other weights.
    """
    path = folder / FILMS_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
        owner = content["weights_sha256"]
        listed = TrainingFilms([Fingerprint.of_text(text) for text in content["fingerprints"]], content["complete"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no list of training films as training writes it: {error!r}") from error
    if owner != weights_sha256:
        raise DataError(f"{path} is the list of other weights ({owner}) than those beside it ({weights_sha256})")
    return listed


def list_films(folder: Path, paths: Iterable[Path]) -> Path:
    """Write the list of a model folder whose model has learned from these films.

    Raises:
        DataError: A film cannot be read.
    """
    return TrainingFilms(look(paths)[0]).write(folder)


def look(paths: Iterable[Path]) -> tuple[list[Fingerprint], list[NDArray[np.uint8]]]:
    """Fingerprints of films, and of each its sketches in all `POSES`.

    Raises:
        DataError: A film cannot be read.
    """
    fingerprints, posed = [], []
    for path in paths:
        try:
            data = path.read_bytes()
            pixels = read(data).pixels
        except (InputError, OSError) as error:
            raise DataError(f"{path}: {in_words(error)}") from error
        sketches = _sketches(detail(thumbnail(pixels)))
        posed.append(sketches)
        hashes = (data, repr(pixels.shape).encode() + pixels.tobytes())
        file, picture = (hashlib.sha256(content).digest()[:_HASH_BYTES] for content in hashes)
        fingerprints.append(Fingerprint(file, picture, sketches[0]))
    return fingerprints, posed


def thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A whole picture [H, W] squeezed into a square: uint8 [THUMB, THUMB]."""
    return np.asarray(cv2.resize(pixels, (THUMB, THUMB), interpolation=cv2.INTER_AREA), np.uint8)


def detail(thumb: NDArray[np.uint8]) -> Floats:
    """Detail of one or two pixels by its local strength, of mean 0 and length 1: float32 [THUMB, THUMB]."""
    values = thumb.astype(np.float32)
    fine = values - cv2.GaussianBlur(values, (0, 0), _BLUR)
    fine /= np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), _WINDOW)) + _FLOOR
    fine -= fine.mean()
    return np.asarray(fine / max(float(np.linalg.norm(fine)), 1e-6), np.float32)


def pose_pixels(pictures: Floats, pose: Pose) -> Floats:
    """Square pictures [N, S, S] in a pose."""
    mirror, quarters = pose
    return np.asarray(np.rot90(pictures[:, :, ::-1] if mirror else pictures, quarters, axes=(1, 2)))


def _sketches(fine: Floats) -> NDArray[np.uint8]:
    """Signs of the random projections (Charikar, "Similarity estimation techniques", 2002) in all poses: [8, 128]."""
    flat = np.stack([pose_pixels(fine[None], pose).reshape(-1) for pose in POSES])
    return np.packbits(flat @ _projections() > 0, axis=1)


@cache
def _projections() -> Floats:
    """float32 [THUMB * THUMB, 1024] of -1 and 1: from a hash, as random generators may change with versions."""
    stream = hashlib.shake_256(b"osteolens sketch 1").digest(THUMB * THUMB * _SKETCH_BYTES)
    bits = np.unpackbits(np.frombuffer(stream, np.uint8)).reshape(THUMB * THUMB, -1)
    return np.asarray(2 * bits.astype(np.float32) - 1, np.float32)


def _off(poses: NDArray[np.uint8], sketches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shares of bits that differ: uint8 [P, 128] and [M, 128] -> [P, M]."""
    different = np.bitwise_count(poses[:, None] ^ sketches[None])
    return np.asarray(different.sum(axis=2) / (8 * _SKETCH_BYTES))


def describe(known: Mapping[int, str], names: Sequence[str], shown: int = 3) -> str:
    """Such as `12 of 60 films, first a.png (the same file), b.png (a copy)`."""
    first = ", ".join(f"{names[number]} ({how})" for number, how in sorted(known.items())[:shown])
    return f"{len(known)} of {len(names)} films, such as {first}"
