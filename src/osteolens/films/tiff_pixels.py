"""Pixels of a checked TIFF page -> grey, brighter meaning denser.

Every strip and tile must decode to all of its bytes: a damaged one is refused, never filled with zeros.
"""

import io
import itertools
import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from osteolens.errors import UnreadableImage
from osteolens.films import tiff
from osteolens.films.tiff import Page
from osteolens.films.window import BLOCK_PIXELS, Numbers, window

MAX_SCANS = 4
_BT601 = np.array([0.299, 0.587, 0.114], np.float32)
_DECOMPRESS: dict[int, Callable[..., Any]] = {
    8: imagecodecs.deflate_decode, 32773: imagecodecs.packbits_decode,
    32946: imagecodecs.deflate_decode, 34925: imagecodecs.lzma_decode, 50000: imagecodecs.zstd_decode,
}  # fmt: skip
_DTYPES = {tiff.UNSIGNED: "u", tiff.SIGNED: "i", tiff.FLOAT: "f"}
_COMPLETE = "is the file complete?"


def grey(data: bytes, page: Page) -> NDArray[np.uint8]:
    """The page as uint8 [H, W], as stored (orientation not yet applied).

    Up to 8 bits a sample the grey levels are the file's own, colour by Pillow's luminance; deeper and signed samples
    are windowed.

    Raises:
        UnreadableImage: A strip or tile is damaged.
        UnusableImage: A value is not finite.
    """
    if page.bits <= 8 and page.sample_format == tiff.UNSIGNED:
        return _by_rows(_shallow, samples(data, page), page, np.uint8)
    return window(*deep(data, page))


def deep(data: bytes, page: Page) -> tuple[Numbers, NDArray[np.bool_] | None]:
    """Levels [H, W] of a page of deep or signed samples, brighter meaning denser, and its padding: bool [H, W].

    Raises:
        UnreadableImage: A strip or tile is damaged.
    """
    values = samples(data, page)
    padding = _padding(values, page)
    if page.photometric == tiff.GREY_INVERTED:  # of whole numbers, ~ turns the scale without leaving the type
        turn = np.negative if page.sample_format == tiff.FLOAT else np.invert
        turn(values[..., 0], out=values[..., 0])
    return values[..., 0] if values.shape[2] == 1 else _by_rows(_deep, values, page, np.float32), padding


def samples(data: bytes, page: Page) -> Numbers:
    """The page's numbers as stored: [H, W, samples]."""
    size = 1 if page.bits <= 8 else 2 if page.bits <= 16 else page.bits // 8
    shape = (page.planes, page.height, page.width, 1 if page.planar else page.samples)
    planes: Numbers = np.empty(shape, f"{_DTYPES[page.sample_format]}{size}")
    tops, lefts = range(0, page.height, page.segment[0]), range(0, page.width, page.segment[1])
    places = itertools.product(range(page.planes), tops, lefts)
    for index, ((plane, top, left), offset, count) in enumerate(zip(places, page.offsets, page.counts, strict=True), 1):
        rows = min(page.segment[0], page.height - top) if not page.tiled else page.segment[0]
        try:
            block = _segment(data[offset : offset + count], page, rows)
        except (RuntimeError, ValueError, OSError) as error:  # the codecs' own errors are RuntimeErrors
            word = "tile" if page.tiled else "strip"
            message = f"{word} {index} of {len(page.offsets)} of the TIFF cannot be decoded: {error}"
            raise UnreadableImage(message, _COMPLETE) from error
        space = planes[plane, top : top + rows, left : left + page.segment[1]]
        space[...] = block[: space.shape[0], : space.shape[1]]
    return np.moveaxis(planes[..., 0], 0, -1) if page.planar else planes[0]


def _segment(coded: bytes | bytearray, page: Page, rows: int) -> Numbers:
    """One strip or tile: [rows, columns, samples]; ValueError or RuntimeError where it is damaged."""
    columns, depth = page.segment[1], 1 if page.planar else page.samples
    if page.compression == tiff.JPEG:
        return _jpeg(coded, page, rows, depth)
    if page.lsb_first:
        coded = imagecodecs.bitorder_decode(coded)
    line = (columns * depth * page.bits + 7) // 8
    whole = line * page.segment[0]  # a last strip may hold more rows than the picture has left
    if page.compression == tiff.LZW:
        coded = _lzw(bytes(coded), line, rows)
    decompress = _DECOMPRESS.get(page.compression)
    raw: bytes | bytearray = decompress(coded, out=whole) if decompress else coded
    if len(raw) < line * rows:
        raise ValueError(f"it holds {len(raw):,} of {line * rows:,} bytes")
    raw = raw[: line * rows]
    if page.bits not in (8, 16, 32, 64):
        kind = np.uint8 if page.bits < 8 else np.uint16
        unpacked = imagecodecs.packints_decode(raw, kind, page.bits, runlen=columns * depth)
        return np.asarray(unpacked).reshape(rows, columns, depth)
    # The predictor of floats has an order of bytes of its own.
    order = "=" if page.predictor == 3 else page.byte_order
    values = np.frombuffer(raw, f"{order}{_DTYPES[page.sample_format]}{page.bits // 8}").reshape(rows, columns, depth)
    if page.predictor == 1:
        return values
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    undo = imagecodecs.delta_decode if page.predictor == 2 else imagecodecs.floatpred_decode
    return np.asarray(undo(values, axis=1))


def _lzw(coded: bytes, line: int, rows: int) -> bytes:
    """Bytes of an LZW segment, by libtiff: imagecodecs' decoder can end the process where one is damaged."""
    place = 8 + 2 + 9 * 12 + 4
    tags = (
        (256, line),
        (257, rows),
        (258, 8),
        (259, 5),
        (262, 1),
        (273, place),
        (277, 1),
        (278, rows),
        (279, len(coded)),
    )
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    wrapped = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + coded
    with Image.open(io.BytesIO(wrapped), formats=["TIFF"]) as image:
        return image.tobytes()


def _jpeg(coded: bytes | bytearray, page: Page, rows: int, depth: int) -> Numbers:
    """A JPEG segment and the tables that all segments share (TIFF Technical Note 2)."""
    if coded[:2] != b"\xff\xd8":
        raise ValueError("it does not start as a JPEG does")
    if coded.count(b"\xff\xda") > MAX_SCANS:
        raise ValueError(f"its JPEG has more than {MAX_SCANS} scans")
    # Adobe's segment says whether the colours are YCbCr, which libjpeg would guess.
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([page.photometric == tiff.YCBCR])
    whole = b"\xff\xd8" + adobe + page.jpeg_tables[2:-2] + coded[2:]
    height, width, *_ = simplejpeg.decode_jpeg_header(whole)
    if width != page.segment[1] or height not in (rows, page.segment[0]):
        raise ValueError(f"its JPEG has {width} x {height} pixels, expected {page.segment[1]} x {rows}")
    colours = "GRAY" if depth == 1 else "RGB"
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(whole, colours, fastdct=False, fastupsample=False, strict=True)
    return pixels[:rows]


def _by_rows(
    function: Callable[[Numbers, Page], Any], values: Numbers, page: Page, dtype: type[np.generic]
) -> NDArray[Any]:
    """A function of [h, W, samples] -> [h, W], over the rows in blocks, so that no second large copy is made."""
    result = np.empty(values.shape[:2], dtype)
    step = max(1, BLOCK_PIXELS // values.shape[1])
    for top in range(0, len(values), step):
        result[top : top + step] = function(values[top : top + step], page)
    return result


def _shallow(values: Numbers, page: Page) -> NDArray[np.uint8]:
    if page.photometric == tiff.PALETTE:
        palette = np.array(page.colour_map).reshape(3, -1).T
        shift = 8 if palette.max() > 255 else 0  # some writers give 8-bit colours
        return np.asarray(Image.fromarray((palette >> shift).astype(np.uint8)[values[..., 0]]).convert("L"))
    scaled = np.rint(values * (255 / (2**page.bits - 1))).astype(np.uint8) if page.bits < 8 else values.astype(np.uint8)
    if page.photometric == tiff.CMYK:
        return np.asarray(Image.fromarray(scaled, "CMYK").convert("L"))
    if page.photometric == tiff.GREY_INVERTED:
        scaled[..., 0] = 255 - scaled[..., 0]
    if page.photometric in (tiff.GREY, tiff.GREY_INVERTED):
        if not page.extra:
            return scaled[..., 0]
        scaled = scaled[..., [0, 0, 0, 1]]
    if not page.extra:
        return np.asarray(Image.fromarray(np.ascontiguousarray(scaled[..., :3])).convert("L"))
    size = (scaled.shape[1], scaled.shape[0])
    coloured = Image.frombytes("RGBa" if page.extra == 1 else "RGBA", size, scaled.tobytes()).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", size, (0, 0, 0, 255)), coloured).convert("L"))


def _deep(values: Numbers, page: Page) -> NDArray[np.float32]:
    """Luminance (ITU-R BT.601) of deep samples over black."""
    numbers = values.astype(np.float32)
    luminance: NDArray[np.float32] = numbers[..., :3] @ _BT601 if page.photometric == tiff.RGB else numbers[..., 0]
    if page.extra == 2:
        luminance = luminance * (numbers[..., -1] / np.float32(_full(page)))
    return luminance


def _full(page: Page) -> float:
    """The value of an opaque pixel."""
    return 1.0 if page.sample_format == tiff.FLOAT else float(2**page.bits - 1)


def _padding(values: Numbers, page: Page) -> NDArray[np.bool_] | None:
    """Pixels that hold no film, by transparency or by the value for it: bool [H, W]."""
    if page.extra:
        return np.asarray(values[..., -1] == 0)
    try:
        nothing = float(page.nodata)
    except ValueError:
        return None
    if page.samples > 1:
        return None
    return np.asarray(np.isnan(values[..., 0]) if np.isnan(nothing) else values[..., 0] == nothing)
