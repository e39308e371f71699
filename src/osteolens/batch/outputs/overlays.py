"""Overlays of a batch: each film under its heat map, as a JPEG."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from osteolens.client import DamagedAnswer
from osteolens.errors import BatchError, InputError
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
        opacity: Of the map's maximum, 0 to 1.
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


def draw(data: bytes, answer: Answer, target: Path, look: Look) -> bool:
    """Write the overlay of an answer's first explanation.

    Args:
        data: The film's bytes.
        answer: With an explanation.
        target: Where to; written under another name first, so that it is whole when it is there.
        look: Opacity and colours.

    Returns:
        Whether there is an overlay: False where this program cannot decode what the server could.

    Raises:
        DamagedAnswer: The map is no picture.
        BatchError: The overlay cannot be written.
    """
    explanation = answer.explanations[0]
    try:
        film = read(data).pixels
    except InputError:
        return False
    try:
        levels = overlay.decode_map(explanation.map_png)
    except (OSError, ValueError) as error:
        raise DamagedAnswer(f"the heat map cannot be decoded: {error}") from error
    title = overlay.describe(explanation, answer.label)
    picture = overlay.blend(film, levels, title, look.opacity, look.colour_map, explanation.strength)
    draft = target.with_name(f".{target.name}.draft")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(draft, "JPEG", quality=QUALITY)
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BatchError(
            f"{target} cannot be written: {error.strerror or error}; when that is mended (is the disk full?), the same "
            "command goes on"
        ) from error
    return True
