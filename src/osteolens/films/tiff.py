"""Structure of a TIFF, read and checked before a pixel is decoded (TIFF 6.0, its supplements, BigTIFF).

Other readers fill what is missing with zeros and guess what is unusual: here a page is whole and known, or refused with
what was found. All numbers that a file can blow up (pages, entries, strips, bytes) have a limit.
"""

import math
from dataclasses import dataclass

from osteolens.errors import InputTooLarge, UnreadableImage, UnsupportedType
from osteolens.films.tiff_directory import COMPLETE, MAX_SEGMENTS, Directory, directories

MAX_DECODED_BYTES = 256 * 1024**2

GREY_INVERTED, GREY, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
NO_COMPRESSION, LZW, JPEG, LZMA = 1, 5, 7, 34925
UNSIGNED, SIGNED, FLOAT = 1, 2, 3

COMPRESSIONS = {
    1: "none", 5: "LZW", 7: "JPEG", 8: "deflate", 32773: "PackBits", 32946: "deflate", 34925: "LZMA",
    50000: "Zstandard",
}  # fmt: skip
# Nanoseconds of CPU, measured on noise and rounded up.
_NS_PER_CODED_BYTE = {LZW: 20, JPEG: 20, 8: 14, 32946: 14, LZMA: 60}
_NS_PER_PIXEL, _NS_PER_SAMPLE, _NS_PER_SEGMENT = 6, 5, {LZW: 400_000}

_PREDICTED = (5, 8, 32946, 34925, 50000)
"""Compressions with which libtiff applies a predictor."""
_FORMATS = {UNSIGNED: "unsigned", SIGNED: "signed", FLOAT: "floating-point"}
_PHOTOMETRICS = {GREY_INVERTED: 1, GREY: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
"""Samples of a pixel by the meaning of the picture, extra samples not counted."""
_HINT = "save it as 8-bit or 16-bit grey TIFF or PNG"


@dataclass(frozen=True)
class Page:
    """The page of a TIFF that is read, with every number checked.

    Attributes:
        width, height: Pixels as stored, before orientation.
        bits, sample_format: Bits and format of each sample; the format is one of `UNSIGNED`, `SIGNED`, `FLOAT`.
        samples: Per pixel, extra ones included.
        extra: Meaning of the extra sample (0 none stated, 1 alpha already multiplied, 2 alpha), if there is one.
        segment: Rows and columns of a strip or tile.
        offsets, counts: Where each strip or tile lies in the file, in bytes; plane by plane where planar.
        byte_order: `<` or `>`.
        colour_map: Red, green and blue of a palette one after another, 0 to 65535.
        nodata: Value of pixels that hold nothing, as text (GDAL).
        warnings: What a reader should know, in plain sentences.
    """

    width: int
    height: int
    bits: int
    sample_format: int
    samples: int
    extra: int | None
    photometric: int
    compression: int
    predictor: int
    planar: bool
    lsb_first: bool
    orientation: int
    tiled: bool
    segment: tuple[int, int]
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    byte_order: str
    colour_map: tuple[int, ...]
    jpeg_tables: bytes
    nodata: str
    warnings: tuple[str, ...]

    @property
    def planes(self) -> int:
        """Number of planes, one sample of every pixel each; 1 where the samples of a pixel lie together."""
        return self.samples if self.planar else 1

    @property
    def seconds(self) -> float:
        """Predicted CPU time of decoding."""
        work = self.width * self.height * (_NS_PER_PIXEL + _NS_PER_SAMPLE * self.samples)
        coded = sum(self.counts) * _NS_PER_CODED_BYTE.get(self.compression, 5)
        return (work + coded + len(self.counts) * _NS_PER_SEGMENT.get(self.compression, 10_000)) / 1e9


def largest_page(data: bytes) -> Page:
    """The page of a TIFF with the most pixels, thumbnails and sub-images counted as pages.

    Raises:
        UnreadableImage: Cut off or contradictory.
        UnsupportedType: A kind of TIFF that is not read; the message names it.
        InputTooLarge: More pages, entries, strips, tiles or bytes than the limits allow.
    """
    pages = directories(data)
    pixels = [page.number(256, 0) * page.number(257, 0) for page in pages]
    largest = pixels.index(max(pixels))
    warnings: tuple[str, ...] = ()
    if len(pages) > 1:
        which = "the first" if largest == 0 else f"page {largest + 1}, the largest,"
        warnings = (f"the TIFF has {len(pages)} pages; only {which} was read",)
    return _checked(pages[largest], warnings)


def _checked(page: Directory, warnings: tuple[str, ...]) -> Page:
    samples = page.number(277, 1)
    photometric, extra = _meaning(page, samples)
    bits, sample_format = _depth(page, samples, photometric)
    compression, predictor = _coding(page, bits, sample_format, photometric, samples)
    width, height, planar = page.number(256, 0), page.number(257, 0), page.number(284, 1) == 2 and samples > 1
    if width < 1 or height < 1:
        raise UnreadableImage(f"the TIFF claims {width} x {height} pixels", COMPLETE)
    decoded = width * height * samples * (1 if bits <= 8 else 2 if bits <= 16 else bits // 8)
    if decoded > MAX_DECODED_BYTES:
        raise InputTooLarge(
            f"the TIFF's pixels, {width} x {height} with {samples} x {bits} bits, take {decoded:,} bytes",
            f"at most {MAX_DECODED_BYTES:,} bytes",
        )
    tiled, segment, offsets, counts = _segments(page, width, height, samples if planar else 1, compression)
    return Page(
        width, height, bits, sample_format, samples, extra, photometric, compression, predictor, planar,
        page.number(266, 1) == 2, page.number(274, 1), tiled, segment, offsets, counts, page.order,
        page.numbers(320, most=3 * 65_536), page.raw(347),
        page.raw(42113).split(b"\0")[0].decode("ascii", "replace").strip(), warnings,
    )  # fmt: skip


def _meaning(page: Directory, samples: int) -> tuple[int, int | None]:
    """Colour kind (tag 262) and the meaning of the extra sample (tag 338), if there is one."""
    photometric = page.number(262, GREY)
    if photometric not in _PHOTOMETRICS:
        raise UnsupportedType(f"found a TIFF of colour kind {photometric} (tag 262)", _HINT)
    extras = samples - _PHOTOMETRICS[photometric]
    if extras not in (0, 1):
        raise UnsupportedType(f"found a TIFF with {samples} samples a pixel of colour kind {photometric}", _HINT)
    if photometric in (PALETTE, CMYK, YCBCR) and extras:
        raise UnsupportedType(f"found a TIFF of colour kind {photometric} with an extra sample", _HINT)
    if photometric == CMYK and page.number(332, 1) != 1:
        raise UnsupportedType("found a TIFF of other inks than CMYK (tag 332)", _HINT)
    return photometric, page.number(338, 0) if extras else None


def _depth(page: Directory, samples: int, photometric: int) -> tuple[int, int]:
    """Bits and number format of a sample, alike in all."""
    depths, formats = set(page.numbers(258, (1,))[:samples]), set(page.numbers(339, (UNSIGNED,))[:samples])
    if len(depths) != 1 or len(formats) != 1:
        raise UnsupportedType(f"found a TIFF with unlike samples of {sorted(depths)} bits", _HINT)
    bits, sample_format = depths.pop(), formats.pop()
    sample_format = UNSIGNED if sample_format == 4 else sample_format  # 4: not stated
    depths_of = {UNSIGNED: (*range(1, 17), 32), SIGNED: (8, 16, 32), FLOAT: (16, 32, 64)}
    kind = _FORMATS.get(sample_format, f"of format {sample_format}")
    if bits not in depths_of.get(sample_format, ()):
        raise UnsupportedType(f"found a TIFF with {kind} samples of {bits} bits", _HINT)
    if (bits > 8 or sample_format != UNSIGNED) and photometric not in (GREY_INVERTED, GREY, RGB):
        raise UnsupportedType(f"found a TIFF with {kind} samples of {bits} bits and colour kind {photometric}", _HINT)
    if samples > 1 and sample_format == SIGNED:
        raise UnsupportedType(f"found a TIFF with {samples} signed samples a pixel", _HINT)
    if photometric == PALETTE and page.entries.get(320, (0, 0, 0))[1] != 3 * 2**bits:
        raise UnreadableImage(f"the TIFF's palette does not have 3 x {2**bits} entries", COMPLETE)
    return bits, sample_format


def _coding(page: Directory, bits: int, sample_format: int, photometric: int, samples: int) -> tuple[int, int]:
    """Compression and predictor."""
    compression, predictor = page.number(259, 1), page.number(317, 1)
    if compression not in COMPRESSIONS:
        name = "a fax's" if compression in (2, 3, 4) else f"the unknown {compression}"  # no film; damage does not show
        raise UnsupportedType(f"found a TIFF with {name} compression (tag 259)", _HINT)
    if compression not in _PREDICTED:
        predictor = 1
    fits = predictor == 1 or (predictor == 2 and bits in (8, 16, 32)) or (predictor == 3 and sample_format == FLOAT)
    if not fits:
        raise UnsupportedType(f"found a TIFF with predictor {predictor} on {bits}-bit samples", _HINT)
    name = COMPRESSIONS[compression]
    if compression == JPEG and bits != 8:
        raise UnsupportedType(f"found a TIFF with {name} compression of {samples} x {bits} bits", _HINT)
    if compression == JPEG and (samples not in (1, 3) or photometric in (PALETTE, CMYK)):
        raise UnsupportedType(f"found a TIFF with {name} compression of {samples} samples a pixel", _HINT)
    if photometric == YCBCR and (compression != JPEG or page.number(284, 1) == 2):
        raise UnsupportedType(f"found a TIFF with YCbCr colours and the compression {name}", _HINT)
    return compression, predictor


def _segments(
    page: Directory, width: int, height: int, planes: int, compression: int
) -> tuple[bool, tuple[int, int], tuple[int, ...], tuple[int, ...]]:
    """Tiled or not, rows and columns of a strip or tile, and the place of each: all there, all within the file."""
    tiled = 322 in page.entries or 324 in page.entries
    if tiled:
        rows, columns, offset_tag, count_tag, word = page.number(323, 0), page.number(322, 0), 324, 325, "tile"
    else:
        rows, columns, offset_tag, count_tag, word = page.number(278, height), width, 273, 279, "strip"
        rows = min(rows, height)
    if rows < 1 or columns < 1 or rows * columns > max(4 * width * height, 2**22):
        raise UnreadableImage(f"the TIFF claims {word}s of {columns} x {rows} pixels", COMPLETE)
    expected = math.ceil(height / rows) * math.ceil(width / columns) * planes
    if expected > MAX_SEGMENTS:
        raise InputTooLarge(f"the TIFF has {expected:,} {word}s", f"at most {MAX_SEGMENTS:,}")
    offsets, counts = page.numbers(offset_tag), page.numbers(count_tag)
    if not counts and compression == NO_COMPRESSION and expected == 1 and offsets:
        counts = (len(page.data) - offsets[0],)
    if len(offsets) < expected or len(counts) < expected:
        places = min(len(offsets), len(counts))
        raise UnreadableImage(f"the TIFF should have {expected:,} {word}s, it lists {places:,}", COMPLETE)
    for index, (offset, count) in enumerate(zip(offsets[:expected], counts[:expected], strict=True), 1):
        if offset == 0 or count < 1:
            raise UnreadableImage(f"{word} {index} of {expected} of the TIFF is empty", COMPLETE)
        if offset + count > len(page.data):
            message = f"the TIFF breaks off: {word} {index} of {expected} ends behind its last byte, {len(page.data):,}"
            raise UnreadableImage(message, COMPLETE)
    return tiled, (rows, columns), offsets[:expected], counts[:expected]
