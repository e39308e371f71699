"""Bytes of any supported picture -> one checked 8-bit grey picture.

Orientation is settled here and limits are enforced before anything large is decoded, so that the rest of
the library only ever sees `uint8 [H, W]`, brighter meaning denser.
"""

import io
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from osteolens.errors import EmptyInput, InputTooLarge, UnreadableImage, UnsupportedType, UnusableImage
from osteolens.films import heif, jpeg, limits, png, steps, tiff
from osteolens.films.limits import check_cost
from osteolens.films.sense import INVERTED, looks_inverted
from osteolens.films.sniff import sniff
from osteolens.films.window import window
from osteolens.quality import Reason, Source

MAX_BYTES = 64 * 1024**2
MAX_PIXELS = 64_000_000
MIN_SIDE = 64

SUPPORTED = ("JPEG", "PNG", "TIFF", "BMP", "WebP", "DICOM")
_HINT = f"send one still picture as {', '.join(SUPPORTED[:-1])} or {SUPPORTED[-1]}"
_DECODE_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError,
    RuntimeError, struct.error, zlib.error, cv2.error,
)  # fmt: skip
_PHONE_FORMATS = {"a HEIC picture": "HEIC", "an AVIF picture": "AVIF"}
_OBJECT = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")
_STEP = "the brightness changes by a step as in a damaged JPEG: compare the picture with the original film"
_BAND = 256
_EXIF_ORIENTATION = 0x0112

Pixel = TypeVar("Pixel", bound=np.generic)
File = bytes | bytearray | memoryview | str | Path | BinaryIO


@dataclass(frozen=True)
class Picture:
    """A decoded film.

    Attributes:
        pixels: uint8 [H, W], 0 to 255, as displayed (orientation applied).
        format: One of `SUPPORTED`.
        warnings: What a reader should know, in plain sentences.
        source: What the header of a DICOM film says; None for other formats.
        reasons: Why it should not be answered, by the header of a DICOM film.
    """

    pixels: NDArray[np.uint8]
    format: str
    warnings: tuple[str, ...] = ()
    source: Source | None = None
    reasons: tuple[Reason, ...] = ()


def read(source: File) -> Picture:
    """Decode a film.

    Args:
        source: The file's bytes, its path, or a binary file object.

    Raises:
        EmptyInput, UnsupportedType, InputTooLarge, TooCostly, UnreadableImage, UnusableImage: See
            `osteolens.errors`; the message says what was found.
        OSError: The path cannot be opened.
    """
    return _read(_bytes_of(source))[0]


def read_bare(data: bytes) -> tuple[Picture, bytes]:
    """Decode a film, and give its bytes without the header of a DICOM file, where a patient's name is.

    Pixels and facts stay; a picture that is compressed stays so, as far as nothing else can stand in it.

    Args:
        data: The file. Formats other than DICOM are returned as they are.

    Raises:
        InputError: As `read`.
    """
    return _read(data, bare=True)


def _read(data: bytes, *, bare: bool = False) -> tuple[Picture, bytes]:
    if not data:
        raise EmptyInput("the body is empty", _HINT)
    sniffed = sniff(data)
    kind = _PHONE_FORMATS.get(sniffed, sniffed)
    if kind not in SUPPORTED and kind not in _PHONE_FORMATS.values():
        raise UnsupportedType(f"found {sniffed}, which is not a supported picture", _HINT)
    try:
        return _decode(data, kind, bare)
    except Image.DecompressionBombError as error:
        raise InputTooLarge(f"the {kind} is too large: {error}", f"at most {MAX_PIXELS:,} pixels") from error
    except _DECODE_ERRORS as error:
        raise UnreadableImage(f"the {kind} cannot be decoded: {_reason(error)}", "is the file complete?") from error


def _reason(error: Exception) -> str:
    """A decoder's message, without the addresses of its objects."""
    if isinstance(error, UnidentifiedImageError):
        return "its header is damaged"
    return _OBJECT.sub("the file", str(error)) or type(error).__name__


def _bytes_of(source: File) -> bytes:
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


def _decode(data: bytes, kind: str, bare: bool) -> tuple[Picture, bytes]:
    source, reasons = None, tuple[Reason, ...]()
    if kind == "DICOM":
        pixels, warnings, source, reasons, data = _dicom(data, bare)
    else:
        pixels, warnings = _READERS[kind](data) if kind in _READERS else _still(data, kind)
    middle = pixels[len(pixels) // 2]
    if middle.min() == middle.max() and pixels.min() == pixels.max():
        raise UnusableImage(f"the {kind} is blank: every pixel is {pixels.flat[0]}", "send a film with a knee on it")
    pixels = np.ascontiguousarray(pixels)
    warnings = (*warnings, INVERTED) if looks_inverted(pixels) else warnings
    return Picture(pixels, kind, warnings, source, reasons), data


def _tiff(data: bytes) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    page = tiff.largest_page(data)
    _check_size("TIFF", page.width, page.height)
    check_cost("TIFF", page.seconds, limits.SAVE_AGAIN)
    from osteolens.films import tiff_pixels  # its codecs are loaded when a TIFF arrives

    return oriented(tiff_pixels.grey(data, page), page.orientation), page.warnings


def _jpeg(data: bytes) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    layout = jpeg.examine(data)
    _check_size("JPEG", layout.width, layout.height)
    check_cost("JPEG", layout.seconds, jpeg.SAVE_AGAIN)
    pixels = jpeg.luminance(data, layout)
    warnings = (_STEP,) if steps.step(pixels) > 1 else ()
    if not layout.described:
        return pixels, warnings
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return upright(pixels, image, warnings)


def _dicom(data: bytes, bare: bool) -> tuple[NDArray[np.uint8], tuple[str, ...], Source, tuple[Reason, ...], bytes]:
    from osteolens.films import dicom, dicom_display, dicom_header, dicom_pixels  # pydicom is loaded by a DICOM film

    with dicom.unchecked():
        film = dicom.open_film(data)
        _check_size("DICOM film", *dicom.size(film))
        values = dicom_pixels.stored_values(film)
        pixels, shown = dicom_display.grey(film, values)
        source, reasons, noted = dicom_header.read_header(film)
        if bare:
            from osteolens.films import dicom_bare

            data = dicom_bare.without_identity(film, values)
    return pixels, (*shown, *noted), source, reasons, data


def _still(data: bytes, kind: str) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    layout = png.examine(data) if kind == "PNG" else None
    with heif.opened(data, kind) if kind in heif.KINDS else Image.open(io.BytesIO(data), formats=[kind]) as image:
        _check_size(kind, *image.size)
        check_cost(kind, layout.seconds if layout else limits.seconds(image, data), limits.SAVE_AGAIN)
        pages = getattr(image, "n_frames", 1)
        if pages > 1 and kind != "HEIC":  # of a burst, the main picture is read
            raise UnsupportedType(f"found an animated {kind} with {pages} frames", _HINT)
        pixels = _grey(image, data)
        if layout and (layout.interlaced or not pixels[-1].any()):
            png.check_complete(data, layout)
        warnings: tuple[str, ...] = ()
        if not pixels.any() and image.has_transparency_data:
            pixels = np.asarray(image.convert("RGB").convert("L"))
            warnings = ("the whole picture is marked as transparent, which was ignored",)
        return upright(pixels, image, warnings)


_READERS = {"JPEG": _jpeg, "TIFF": _tiff}


def _check_size(kind: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InputTooLarge(f"the {kind} claims {width} x {height} pixels", f"at most {MAX_PIXELS:,} pixels")
    if min(width, height) < MIN_SIDE:
        raise UnusableImage(f"the {kind} has only {width} x {height} pixels", f"at least {MIN_SIDE} per side")


def _grey(image: Image.Image, data: bytes) -> NDArray[np.uint8]:
    """The picture as uint8 [H, W] before orientation."""
    if ";16" in str(getattr(image, "tile", "")) and image.mode in ("RGB", "RGBA", "LA"):
        return window(deep_luminance(data))  # Pillow would cut 16-bit colour to its high bytes
    image.load()
    if image.mode.startswith(("I", "F")):
        return window(np.asarray(image))
    return _over_black(image) if image.has_transparency_data else np.asarray(image.convert("L"))


def _over_black(image: Image.Image) -> NDArray[np.uint8]:
    """A picture with transparency as uint8 [H, W], in bands: three copies of a large one would not fit into memory."""
    width, height = image.size
    pixels = np.empty((height, width), np.uint8)
    for top in range(0, height, _BAND):
        band = image.crop((0, top, width, min(top + _BAND, height))).convert("RGBA")
        black = Image.new("RGBA", band.size, (0, 0, 0, 255))
        pixels[top : top + _BAND] = np.asarray(Image.alpha_composite(black, band).convert("L"))
    return pixels


def upright(
    pixels: NDArray[Pixel], image: Image.Image, warnings: tuple[str, ...]
) -> tuple[NDArray[Pixel], tuple[str, ...]]:
    """Apply the EXIF orientation, or warn where it cannot be known."""
    try:
        Image.Exif().load(image.info.get("exif", b""))  # of a JPEG, `getexif` says nothing of damage
        return oriented(pixels, image.getexif().get(_EXIF_ORIENTATION, 1)), warnings
    except _DECODE_ERRORS:
        return pixels, (*warnings, "the EXIF data are damaged, so the picture was taken as upright")


def deep_luminance(data: bytes) -> NDArray[np.float32]:
    """16-bit colour or grey-with-alpha as float32 [H, W]: ITU-R BT.601 luminance over black."""
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3:
        raise UnreadableImage("the 16-bit picture cannot be decoded", "save it as 16-bit grey PNG")
    colour = values.astype(np.float32)
    luminance: NDArray[np.float32] = np.dot(colour[..., :3], np.array([0.114, 0.587, 0.299], np.float32))  # from BGR
    if colour.shape[2] == 4:
        luminance *= colour[..., 3] / np.float32(65535)
    return luminance


def oriented(pixels: NDArray[Pixel], orientation: int) -> NDArray[Pixel]:
    """Turn stored pixels as the EXIF orientation (TIFF 6.0 tag 274) asks."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
