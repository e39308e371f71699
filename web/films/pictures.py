"""Pictures that are made on the server: the film as shown, its thumbnail, the film under a map."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from films import storage
from films.colours import TABLES
from osteolens.films.overlay import encode_png

Grey = NDArray[np.uint8]
THUMB_SIDE = 320
DRAWN_SIDE = 2048
"""Longest side of a film under a map: as large as a screen shows it, whatever the film's own size."""
_THUMB_QUALITY = 82


def display_png(pixels: Grey) -> bytes:
    """The film itself, uint8 [H, W], as a PNG without metadata."""
    # The fastest level that compresses at all: somebody waits for the upload.
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return cv2.imencode(".png", pixels, settings)[1].tobytes()


def thumb_jpeg(pixels: Grey) -> bytes:
    """The film with its longest side at most `THUMB_SIDE`."""
    small = at_most(pixels, THUMB_SIDE)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _THUMB_QUALITY])[1].tobytes()


def at_most(pixels: Grey, side: int) -> Grey:
    """A picture made smaller, if its longest side is more than this: each pixel the mean of those it stands for."""
    height, width = pixels.shape
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def read_grey(png: bytes) -> Grey:
    """A grey PNG that we wrote, uint8 [H, W]."""
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)


def to_draw_on(path: Path, side: int = DRAWN_SIDE) -> Grey:
    """A film that we wrote, uint8 [H, W], its longest side at most `side`.

    Raises:
        Gone: The film was deleted meanwhile.
    """
    return at_most(read_grey(storage.read(path)), side)


def under_map(
    film: Grey, levels: Grey, colours: str, opacity: float, threshold: float, strength: float | None
) -> Image.Image:
    """The film under its map, as the viewer shows it.

    Args:
        film: uint8 [H, W].
        levels: uint8 [h, w], covers the film edge to edge.
        colours: A name in `films.colours.TABLES`.
        opacity: 0 to 1, of the maximum of a map that is as strong as usual.
        threshold: 0 to 1; below it the map is not drawn.
        strength: 0 to 1: a weaker map is drawn fainter by as much. None counts as 1.

    Returns:
        RGB [H, W].
    """
    height, width = film.shape
    resized = np.asarray(Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC))
    most = opacity * (1 if strength is None else strength)
    alpha = np.where(resized >= threshold * 255, resized * np.float32(most / 255), np.float32(0))
    mixed = np.empty((height, width, 3), np.uint8)
    for channel in range(3):  # all three at once would take three times the memory
        mixed[..., channel] = np.rint(film * (1 - alpha) + TABLES[colours][:, channel][resized] * alpha)
    return Image.fromarray(mixed, "RGB")


def with_caption(picture: Image.Image, lines: list[str]) -> bytes:
    """PNG of a picture over a strip with lines of text."""
    size = max(12, picture.width // 50)
    page = Image.new("RGB", (picture.width, picture.height + (len(lines) * 3 * size) // 2 + size), "black")
    page.paste(picture)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=size)
    for number, line in enumerate(lines):
        place = (size // 2, picture.height + size // 2 + number * (3 * size) // 2)
        draw.text(place, line, fill="white", font=font)
    return encode_png(np.asarray(page))
