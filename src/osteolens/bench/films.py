"""The films that a benchmark predicts: a folder's, or made-up ones."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from osteolens.errors import BenchmarkError, InputError
from osteolens.films.read import SUPPORTED, read
from osteolens.films.sniff import sniff

SIDE = 1024
MADE_UP = 16
MAX_FILMS = 64
"""Films taken of a folder; more only make the benchmark's processes larger."""


def make_films(count: int = MADE_UP) -> list[bytes]:
    """Smooth grey pictures with some grain, as large in bytes as real films (some 200 KB): JPEG, SIDE x SIDE."""
    films = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        coarse = Image.fromarray(random.integers(0, 256, (12, 12), np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        grain = random.normal(0, 4, (SIDE, SIDE))
        buffer = io.BytesIO()
        Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        films.append(buffer.getvalue())
    return films


def read_films(folder: Path, at_most: int | None = None) -> list[bytes]:
    """The films of a folder in the order of their names; files that are no pictures at all are passed over.

    Args:
        folder: Its own files, not those in folders below it.
        at_most: Take this many, evenly spread over the names.

    Raises:
        BenchmarkError: There is no film, or one that the reader would refuse.
        OSError: The folder cannot be read.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_picture(path)]
    if not paths:
        raise BenchmarkError(f"no film in {folder}: expected files such as knee.jpg ({', '.join(SUPPORTED)})")
    if at_most and len(paths) > at_most:
        paths = [paths[index * len(paths) // at_most] for index in range(at_most)]
    return [_checked(path) for path in paths]


def _is_picture(path: Path) -> bool:
    with path.open("rb") as stream:
        return sniff(stream.read(1024)) in SUPPORTED


def _checked(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        read(data)
    except InputError as error:
        raise BenchmarkError(f"{path} cannot be used: {error}") from error
    return data
