"""Overlays of a batch: each film under its heat map, as a JPEG."""

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path

from osteolens.client import DamagedAnswer
from osteolens.errors import BatchError, InputError
from osteolens.files import write_bytes
from osteolens.films import overlay
from osteolens.films.read import read
from osteolens.schema import Answer

FOLDER = "overlays"
QUALITY = 88
_NAME_LENGTH = 60


@dataclass(frozen=True)
class Look:
    """How overlays look.

    Args:
        opacity: Opacity of the map's maximum, 0 to 1.
        colour_map: One of `osteolens.films.overlay.COLOUR_MAPS`.

    Raises:
        BatchError: One of them is neither.
    """

    opacity: float
    colour_map: str

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise BatchError(f"opacity is {self.opacity:g}; it must be 0 to 1, for example 0.6")
        if self.colour_map not in overlay.COLOUR_MAPS:
            raise BatchError(f"colour map is {self.colour_map!r}; there are {', '.join(overlay.COLOUR_MAPS)}")

    def __str__(self) -> str:
        return f"{self.colour_map} at {self.opacity:g}"


def overlay_name(file: str, sha256: str, model: str) -> str:
    """Where the overlay of a film lies, relative to the output folder: the same content has the same place.

    The names of films may be anything; here they keep only letters, digits, dots, dashes and underscores. Folders
    keep a listing short.
    """
    stem = re.sub(r"[^\w.-]+", "_", os.path.splitext(os.path.basename(file))[0])[:_NAME_LENGTH]  # noqa: PTH119, PTH122
    name = stem.encode("ascii", "ignore").decode() or "film"
    return f"{FOLDER}/{sha256[:2]}/{name}-{sha256[:12]}.{model}.jpg"


def drawn(data: bytes, answer: Answer, look: Look) -> bytes | None:
    """The overlay of an answer's first explanation.

    Args:
        data: The film's bytes.
        answer: With an explanation.
        look: Opacity and colours.

    Returns:
        A JPEG; None where this program cannot decode what the server could.

    Raises:
        DamagedAnswer: The map is no picture.
    """
    explanation = answer.explanations[0]
    try:
        film = read(data).pixels
    except InputError:
        return None
    try:
        levels = overlay.decode_map(explanation.map_png)
    except (OSError, ValueError) as error:
        raise DamagedAnswer(f"the heat map cannot be decoded: {error}") from error
    title = overlay.describe(explanation, answer)
    buffer = io.BytesIO()
    picture = overlay.blend(film, levels, title, look.opacity, look.colour_map, explanation.strength)
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def write_overlay(target: Path, jpeg: bytes) -> None:
    """Write an overlay, whole or not at all.

    Raises:
        BatchError: It cannot be written (disk full).
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, jpeg)
    except OSError as error:
        raise BatchError(
            f"{target} cannot be written: {error.strerror or error}; when that is fixed (is the disk full?), the same "
            "command goes on"
        ) from error
