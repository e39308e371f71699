"""Heat maps as pictures: the grey PNG of an answer, and coloured overlays for people."""

import base64
import io
import struct
import zlib

import cv2
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from osteolens.films.prepare import Geometry
from osteolens.schema import Answer, Explanation

MAP_SIDE = 256
"""Longest side of a map's PNG: it covers the whole film, and a feature map holds no finer detail."""

COLOUR_MAPS = {
    "inferno": cv2.COLORMAP_INFERNO,
    "magma": cv2.COLORMAP_MAGMA,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "turbo": cv2.COLORMAP_TURBO,
}
"""Ramps of colours by name. All but `turbo` get brighter from end to end, so that they are right in grey as well."""
DEFAULT_COLOUR_MAP = "inferno"

_BAR_WIDTH, _BAR_MARGIN = 18, 56


def map_on_film(raw: NDArray[np.float32], geometry: Geometry) -> tuple[NDArray[np.uint8], float]:
    """A raw map in film coordinates.

    Args:
        raw: float32 [h, w] over the model's input, 0 and above.
        geometry: Geometry of the film that the map was computed on.

    Returns:
        uint8 [H, W] that covers the film edge to edge in its aspect ratio, longest side `MAP_SIDE`, 255 at
        the raw map's maximum; and that maximum.
    """
    peak = float(raw.max())
    height, width = geometry.film
    scale = MAP_SIDE / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    if peak <= 0:
        return np.zeros(size, np.uint8), 0.0
    levels = geometry.to_film(raw * np.float32(255 / peak), size)
    return (np.clip(levels, 0, 255, out=levels) + 0.5).astype(np.uint8), peak


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """An 8-bit PNG (PNG, third edition, 5 and 9.2: the filter `Sub` in each row, which suits smooth maps).

    It is put together here because the usual encoders deflate with zlib, which takes five times as long as ISA-L.

    Args:
        pixels: uint8 [H, W] grey, or [H, W, 3] RGB.
    """
    height, width = pixels.shape[:2]
    samples = pixels.size // (height * width)
    levels = pixels.reshape(height, width * samples)
    rows = np.empty((height, 1 + width * samples), np.uint8)
    rows[:, 0] = 1
    rows[:, 1 : 1 + samples] = levels[:, :samples]
    np.subtract(levels[:, samples:], levels[:, :-samples], out=rows[:, 1 + samples :])
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[samples], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", isal_zlib.compress(rows.data, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4) for name, data in chunks
    )


def encode_map(levels: NDArray[np.uint8]) -> str:
    """Base64 of an 8-bit grey PNG."""
    return base64.b64encode(encode_png(levels)).decode("ascii")


def decode_map(map_png: str) -> NDArray[np.uint8]:
    """The opposite of `encode_map`: uint8 [H, W]."""
    with Image.open(io.BytesIO(base64.b64decode(map_png)), formats=["PNG"]) as image:
        return np.asarray(image.convert("L"))


def colours(levels: NDArray[np.uint8], colour_map: str = DEFAULT_COLOUR_MAP) -> NDArray[np.uint8]:
    """uint8 [...] levels -> uint8 [..., 3] RGB, by one of `COLOUR_MAPS`."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    table = cv2.applyColorMap(ramp, COLOUR_MAPS[colour_map])[:, 0, ::-1]
    return np.asarray(table, np.uint8)[levels]


def describe(explanation: Explanation, answer: Answer) -> str:
    """The title of a drawn map, in two lines: its class and method, and what the answer leads with; how strong it is.

    The second line is left out where the strength is not known.
    """
    title = f"{explanation.target} ({explanation.method}), answer: {answer.lead.headline}"
    if explanation.strength is None:
        return title
    return f"{title}\nmap strength {explanation.strength:.2f} of the training films' median"


def layer(
    levels: NDArray[np.uint8],
    opacity: float = 0.6,
    colour_map: str = DEFAULT_COLOUR_MAP,
    strength: float | None = None,
) -> Image.Image:
    """A map as a transparent RGBA picture: the stronger the value, the less transparent.

    Args:
        levels: uint8 [H, W].
        opacity: 0 to 1, of the maximum of a map that is as strong as usual.
        colour_map: One of `COLOUR_MAPS`.
        strength: 0 to 1, of `osteolens.schema.Explanation`: a weak map is drawn fainter. None counts as 1.
    """
    ramp = np.arange(256, dtype=np.uint8)
    alpha = np.rint(ramp * (opacity * (1 if strength is None else strength))).astype(np.uint8)
    table = np.column_stack([colours(ramp, colour_map), alpha])
    # A colour is looked up as one number: as rows of four bytes this takes ten times as long.
    return Image.fromarray(table.view(np.uint32)[:, 0][levels].view(np.uint8).reshape(*levels.shape, 4), "RGBA")


def blend(
    film: NDArray[np.uint8],
    levels: NDArray[np.uint8],
    title: str,
    opacity: float = 0.6,
    colour_map: str = DEFAULT_COLOUR_MAP,
    strength: float | None = None,
) -> Image.Image:
    """The film with its map on top, a title, and a colour bar beside it.

    Args:
        film: uint8 [H, W].
        levels: uint8 map that covers the film, of any size.
        title: Shown above the film, a line or more, see `describe`.
        opacity: As for `layer`, like the next two.
        colour_map: One of `COLOUR_MAPS`.
        strength: 0 to 1.

    Returns:
        RGB picture, the film at its own size in it.
    """
    height, width = film.shape
    shown = cv2.resize(levels, (width, height), interpolation=cv2.INTER_CUBIC)
    table = np.asarray(layer(np.arange(256, dtype=np.uint8)[None], opacity, colour_map, strength), np.float32)[0]
    alpha = table[:, 3:] / 255
    above = np.rint(table[:, :3] * alpha).astype(np.uint8)  # what the map adds to a pixel, and what is left of the film
    below = cv2.LUT(shown, np.rint(255 - table[:, 3]).astype(np.uint8))
    below = cv2.multiply(film, below, scale=1 / 255)
    picture = cv2.add(cv2.LUT(cv2.merge([shown] * 3), above[None]), cv2.merge([below] * 3))
    text = max(14, height // 45)
    top = text + text * 5 // 4 * len(title.splitlines())
    page = Image.new("RGB", (width + _BAR_WIDTH + _BAR_MARGIN + text, height + top), "black")
    page.paste(Image.fromarray(picture), (0, top))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=text)
    draw.multiline_text((text // 2, text // 2), title, fill="white", font=font, spacing=text // 4)
    _colour_bar(page, draw, font, (width + text // 2, top + text, top + height - text), colour_map)
    return page


def _colour_bar(
    page: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    place: tuple[int, int, int],
    colour_map: str,
) -> None:
    left, top, bottom = place
    ramp = np.linspace(255, 0, bottom - top).round().astype(np.uint8)
    page.paste(Image.fromarray(np.repeat(colours(ramp, colour_map)[:, None], _BAR_WIDTH, axis=1)), (left, top))
    for share in (1.0, 0.5, 0.0):
        y = bottom - round(share * (bottom - top))
        draw.text((left + _BAR_WIDTH + 6, y), f"{share:.1f}", fill="white", font=font, anchor="lm")
