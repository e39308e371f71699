import re
import struct
import time
import zlib

import numpy as np
import pytest
from conftest import encoded, knee_like
from numpy.typing import NDArray
from PIL import Image

from osteolens.errors import InputError, TooCostly, UnreadableImage
from osteolens.films.read import read

FILM = knee_like(120, 100)
START = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(rows: bytes, colour: int = 0, bits: int = 8, extra: bytes = b"", interlaced: int = 0) -> bytes:
    """A PNG of the size of `FILM` from its rows, each behind the number of its filter."""
    height, width = FILM.shape
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    return START + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")


def rows_of(pixels: NDArray[np.generic]) -> bytes:
    return b"".join(b"\x00" + row.tobytes() for row in pixels)


ROWS = rows_of(FILM)


def test_a_png_of_our_own_making_is_read() -> None:
    np.testing.assert_array_equal(read(png(ROWS)).pixels, FILM)


@pytest.mark.parametrize("share", [0.3, 0.99])
@pytest.mark.parametrize("colour", [0, 2])
@pytest.mark.parametrize("bits", [8, 16])
def test_missing_rows_are_not_filled_with_black(share: float, colour: int, bits: int) -> None:
    """Every checksum is right; the compressed rows just end too early."""
    deep = FILM.astype(">u2") * 200 if bits == 16 else FILM
    rows = rows_of(np.repeat(deep[..., np.newaxis], 3, axis=2) if colour else deep)
    read(png(rows, colour, bits))
    with pytest.raises(UnreadableImage, match=r"bytes of its pixels are missing|cannot be decoded"):
        read(png(rows[: round(share * len(rows))], colour, bits))


def test_a_film_with_a_black_border_below_is_whole() -> None:
    bordered = FILM.copy()
    bordered[-30:] = 0
    np.testing.assert_array_equal(read(png(rows_of(bordered))).pixels, bordered)


def test_an_interlaced_png_is_checked_pass_by_pass() -> None:
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = [rows_of(FILM[top::down, left::across]) for left, top, across, down in passes]
    np.testing.assert_array_equal(read(png(b"".join(rows), interlaced=1)).pixels, FILM)
    with pytest.raises(UnreadableImage, match=f"{len(rows[6]):,} bytes of its pixels are missing"):
        read(png(b"".join(rows[:6]), interlaced=1))


def test_a_palette_that_is_missing_is_named() -> None:
    with pytest.raises(UnreadableImage, match="PLTE"):
        read(png(ROWS, colour=3))
    palette = bytes(level for level in range(256) for _ in range(3))
    np.testing.assert_array_equal(read(png(ROWS, colour=3, extra=chunk(b"PLTE", palette))).pixels, FILM)


def test_a_changed_byte_is_noticed_by_its_checksum() -> None:
    whole = png(ROWS)
    middle = len(whole) // 2
    with pytest.raises(UnreadableImage, match="wrong checksum"):
        read(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])


@pytest.mark.parametrize("exif", [b"", b"garbage", b"II*\x00\xff\xff\xff\xff", b"MM\x00*\x00\x00\x00\x08\xff\xff"])
def test_broken_exif_does_not_spoil_a_film(exif: bytes) -> None:
    np.testing.assert_array_equal(read(png(ROWS, extra=chunk(b"eXIf", exif))).pixels, FILM)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP"])
def test_broken_exif_is_warned_of_in_every_format(kind: str) -> None:
    picture = read(encoded(FILM, kind, exif=b"Exif\x00\x00" + b"garbage that is long enough"))
    assert picture.warnings == ("the EXIF data are damaged, so the picture was taken as upright",)
    assert picture.pixels.shape == FILM.shape


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (chunk(b"tEXt", b"a\x00b") * 1_000_000, "more than 1000 chunks beside its pixels"),
        (chunk(b"IDAT") * 1_000_000, "more than 20000 chunks"),
    ],
)
def test_floods_of_chunks_are_counted_first(extra: bytes, message: str) -> None:
    data = png(ROWS, extra=extra)
    started = time.process_time()
    with pytest.raises(TooCostly, match=message):
        read(data)
    assert time.process_time() - started < 1.0


def test_a_deep_picture_that_takes_too_long_is_refused_by_its_header() -> None:
    data = png(ROWS, colour=6, bits=16)
    data = START + chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 16, 6, 0, 0, 0)) + data[33:]
    with pytest.raises(TooCostly, match="PNG would take about"):
        read(data)


def test_a_picture_that_is_transparent_throughout_shows_its_colours() -> None:
    """Some writers leave the fourth byte of each pixel at zero."""
    hidden = Image.fromarray(np.dstack([FILM, FILM, FILM, np.zeros_like(FILM)]), "RGBA")
    header = struct.pack("<IiiHHIIiiII", 108, 100, 120, 1, 32, 3, 48000, 0, 0, 0, 0)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    flipped = np.ascontiguousarray(np.asarray(hidden)[::-1])
    bitmap = b"BM" + struct.pack("<IHHI", 122 + 48000, 0, 0, 122) + header + masks + flipped.tobytes()
    for data in (bitmap, encoded(hidden), encoded(hidden, "WebP", lossless=True, exact=True)):
        picture = read(data)
        np.testing.assert_allclose(picture.pixels, FILM, atol=1)
        assert picture.warnings == ("the whole picture is marked as transparent, which was ignored",)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WebP"])
def test_no_message_shows_an_address(kind: str) -> None:
    whole = encoded(FILM, kind)
    random = np.random.default_rng(2)
    messages = set()
    for _ in range(200):
        data = bytearray(whole[: random.integers(13, len(whole))])
        for place in random.integers(12, min(60, len(data)), 4):
            data[place] = random.integers(0, 256)
        try:
            read(bytes(data))
        except InputError as error:
            messages.add(str(error))
    assert messages
    assert not [message for message in messages if re.search(r" at 0x|object at|<", message)]
