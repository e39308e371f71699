"""Bytes of any supported picture -> one checked 8-bit grey picture.

Orientation is settled here and limits are enforced before anything large is decoded, so that the rest of
the library only ever sees `uint8 [H, W]`, brighter meaning denser.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from osteolens.errors import EmptyInput, InputTooLarge, UnreadableImage, UnsupportedType, UnusableImage
from osteolens.films import tiff
from osteolens.films.window import window
from osteolens.sniff import sniff

MAX_BYTES = 64 * 1024**2
MAX_PIXELS = 64_000_000
MIN_SIDE = 64

SUPPORTED = ("JPEG", "PNG", "TIFF", "BMP", "WebP")
_HINT = f"send one still picture as {', '.join(SUPPORTED[:-1])} or {SUPPORTED[-1]}"
_DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError,
    struct.error, zlib.error, cv2.error,
)  # fmt: skip
_EXIF_ORIENTATION = 0x0112
_JPEG_END = b"\xff\xd9"

Source = bytes | bytearray | memoryview | str | Path | BinaryIO


@dataclass(frozen=True)
class Picture:
    """A decoded film.

    Attributes:
        pixels: uint8 [H, W], 0 to 255, as displayed (orientation applied).
        format: One of `SUPPORTED`.
        warnings: What a reader should know, in plain sentences.
    """

    pixels: NDArray[np.uint8]
    format: str
    warnings: tuple[str, ...] = ()


def read(source: Source) -> Picture:
    """Decode a film.

    Args:
        source: The file's bytes, its path, or a binary file object.

    Raises:
        EmptyInput, UnsupportedType, InputTooLarge, UnreadableImage, UnusableImage: See `osteolens.errors`;
            the message says what was found.
        OSError: The path cannot be opened.
    """
    data = _bytes_of(source)
    if not data:
        raise EmptyInput("the body is empty", _HINT)
    kind = sniff(data)
    if kind not in SUPPORTED:
        raise UnsupportedType(f"found {kind}, which is not a supported picture", _HINT)
    try:
        return _decode(data, kind)
    except Image.DecompressionBombError as error:
        raise InputTooLarge(f"the {kind} is too large: {error}", f"at most {MAX_PIXELS:,} pixels") from error
    except _DECODE_ERRORS as error:
        raise UnreadableImage(f"the {kind} cannot be decoded: {error}", "is the file complete?") from error


def _bytes_of(source: Source) -> bytes:
    if isinstance(source, str | Path):
        with Path(source).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    else:
        data = source.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InputTooLarge(f"the file has more than {MAX_BYTES:,} bytes", f"at most {MAX_BYTES:,} bytes")
    return data


def _decode(data: bytes, kind: str) -> Picture:
    pixels, warnings = _tiff(data) if kind == "TIFF" else (_still(data, kind), ())
    if pixels.min() == pixels.max():
        raise UnusableImage(f"the {kind} is blank: every pixel is {pixels.flat[0]}", "send a film with a knee on it")
    return Picture(np.ascontiguousarray(pixels), kind, warnings)


def _tiff(data: bytes) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    page = tiff.largest_page(data)
    _check_size("TIFF", page.width, page.height)
    from osteolens.films import tiff_pixels  # its codecs are loaded when a TIFF arrives

    return _oriented(tiff_pixels.grey(data, page), page.orientation), page.warnings


def _still(data: bytes, kind: str) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=[kind.upper()]) as image:
        _check_size(kind, *image.size)
        pages = getattr(image, "n_frames", 1)
        if pages > 1 and getattr(image, "is_animated", False) and image.format != "MPO":
            raise UnsupportedType(f"found an animated {kind} with {pages} frames", _HINT)
        image.seek(0)
        return _oriented(*_grey(image, data))


def _check_size(kind: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InputTooLarge(f"the {kind} claims {width} x {height} pixels", f"at most {MAX_PIXELS:,} pixels")
    if min(width, height) < MIN_SIDE:
        raise UnusableImage(f"the {kind} has only {width} x {height} pixels", f"at least {MIN_SIDE} per side")


def _grey(image: Image.Image, data: bytes) -> tuple[NDArray[np.uint8], int]:
    """The picture as uint8 [H, W] before orientation, and the EXIF orientation still to be applied."""
    if ";16" in str(getattr(image, "tile", "")) and image.mode in ("RGB", "RGBA", "LA"):
        # Pillow would cut 16-bit colour to its high bytes.
        return window(_deep_luminance(data)), image.getexif().get(_EXIF_ORIENTATION, 1)
    if image.format == "JPEG" and image.mode in ("L", "RGB") and data.endswith(_JPEG_END):
        # The same library, libjpeg-turbo, as Pillow's, and the same luminance to the last bit, in four fifths of the
        # time. It says nothing of a film that breaks off: one without its end mark is left to Pillow.
        flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
        luminance = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if luminance is not None:
            return np.asarray(luminance, np.uint8), image.getexif().get(_EXIF_ORIENTATION, 1)
    image.draft("L", image.size)  # JPEG: decode luminance alone
    image.load()
    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    if image.mode.startswith(("I", "F")):
        return window(np.asarray(image, dtype=np.float32)), orientation
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return np.asarray(image.convert("L")), orientation


def _deep_luminance(data: bytes) -> NDArray[np.float32]:
    """16-bit colour or grey-with-alpha as float32 [H, W]: ITU-R BT.601 luminance over black."""
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3:
        raise UnreadableImage("the 16-bit picture cannot be decoded", "save it as 16-bit grey PNG")
    colour = values.astype(np.float32)
    luminance: NDArray[np.float32] = np.dot(colour[..., :3], np.array([0.114, 0.587, 0.299], np.float32))  # from BGR
    if colour.shape[2] == 4:
        luminance *= colour[..., 3] / np.float32(65535)
    return luminance


def _oriented(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn stored pixels as the EXIF orientation (TIFF 6.0 tag 274) asks."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
