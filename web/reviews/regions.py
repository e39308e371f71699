"""Drawn regions: from the browser to a 1-bit PNG and back."""

import base64
import io

import cv2
import numpy as np
from django.utils.translation import gettext
from films.models import Film
from numpy.typing import NDArray
from PIL import Image

Mask = NDArray[np.bool_]
LONGEST_SIDE = 1024
PREFIX = "data:image/png;base64,"


def size_of(film: Film) -> tuple[int, int]:
    """Width and height of a film's region: its aspect ratio, at most `LONGEST_SIDE`."""
    scale = min(1.0, LONGEST_SIDE / max(film.width, film.height))
    return max(1, round(film.width * scale)), max(1, round(film.height * scale))


def from_data_url(text: str, size: tuple[int, int]) -> Mask:
    """Mask from the drawing page's text, a PNG that is white inside the region.

    Args:
        text: `data:image/png;base64,...`.
        size: Width and height that it must have.

    Returns:
        bool [H, W].

    Raises:
        ValueError: It is something else; the message says what.
    """
    if not text.startswith(PREFIX):
        message = gettext("The region is not a PNG: it starts with %(start)s, expected %(expected)s.")
        raise ValueError(message % {"start": repr(text[:30]), "expected": repr(PREFIX)})
    mask = _decoded(text[len(PREFIX) :].encode("ascii", "replace"), size)
    if mask is None:
        raise ValueError(
            gettext(
                "The region is not a PNG that can be read, or it does not have %(width)s x %(height)s pixels. Clear it "
                "and draw it again."
            )
            % {"width": size[0], "height": size[1]}
        )
    return mask


def _decoded(text: bytes, size: tuple[int, int]) -> Mask | None:
    """None for what is no PNG of that size; a wrong size is refused before the pixels are read."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as picture:
            return np.asarray(picture.convert("L")) >= 128 if picture.size == size else None
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError):
        return None  # what Pillow raises for one broken chunk or another


def to_png(mask: Mask) -> bytes:
    """A 1-bit PNG."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def from_png(content: bytes) -> Mask:
    """Mask from a PNG of `to_png`."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
        return np.asarray(picture.convert("1"), np.bool_)


def at_size(mask: Mask, width: int, height: int) -> Mask:
    """A mask on the film's own pixels, each as the nearest of the mask's."""
    return np.asarray(cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST), np.bool_)
