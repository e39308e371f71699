import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import encoded, knee_like
from numpy.typing import NDArray
from PIL import Image

from osteolens.errors import (
    EmptyInput,
    InputError,
    InputTooLarge,
    UnreadableImage,
    UnsupportedType,
    UnusableImage,
)
from osteolens.films import read as image

FILM = knee_like(120, 100)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("TIFF", {}), ("BMP", {}), ("WebP", {"lossless": True}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_lossless_formats_come_back_to_the_pixel(kind: str, options: dict[str, object]) -> None:
    picture = image.read(encoded(FILM, kind, **options))
    assert picture.format == kind
    assert picture.warnings == ()
    np.testing.assert_allclose(picture.pixels, FILM, atol=1 if kind == "WebP" else 0)


def test_grey_and_colour_jpeg_agree() -> None:
    grey = image.read(encoded(FILM, "JPEG", quality=95)).pixels
    colour = image.read(encoded(Image.fromarray(FILM).convert("RGB"), "JPEG", quality=95)).pixels
    assert np.abs(grey.astype(int) - FILM).mean() < 3
    assert np.abs(grey.astype(int) - colour).max() <= 2


def test_bytes_path_and_file_object_are_the_same(tmp_path: Path) -> None:
    data = encoded(FILM)
    (tmp_path / "film.png").write_bytes(data)
    for source in (data, bytearray(data), memoryview(data), tmp_path / "film.png", io.BytesIO(data)):
        np.testing.assert_array_equal(image.read(source).pixels, FILM)


def test_palette_one_bit_and_cmyk() -> None:
    grey = Image.fromarray(FILM)
    np.testing.assert_array_equal(image.read(encoded(grey.convert("P"))).pixels, FILM)
    bits = image.read(encoded(grey.point(lambda value: 255 * (value > 100)).convert("1"))).pixels
    np.testing.assert_array_equal(bits, np.where(FILM > 100, 255, 0))
    # Black ink alone: K = 255 - grey, so the picture must not come out inverted.
    ink = np.zeros((*FILM.shape, 4), np.uint8)
    ink[..., 3] = 255 - FILM
    for kind in ("TIFF", "JPEG"):
        pixels = image.read(encoded(Image.fromarray(ink, "CMYK"), kind)).pixels
        assert np.corrcoef(pixels.ravel(), FILM.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"quality": 30}, {"optimize": True}, {"restart_marker_blocks": 4}]
)
def test_a_jpeg_is_the_luminance_that_pillow_decodes(mode: str, options: dict[str, object]) -> None:
    """The faster decoder must not change a single grey level: what was trained stays valid."""
    random = np.random.default_rng(0)
    colour = np.clip(FILM[..., None] + random.normal(0, 20, (*FILM.shape, 3)), 0, 255).astype(np.uint8)
    picture = Image.fromarray(colour).convert(mode)
    for subsampling in (0, 2):
        data = encoded(picture, "JPEG", subsampling=subsampling, **options)
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("L", opened.size)
            expected = np.asarray(opened.convert("L"))
        np.testing.assert_array_equal(image.read(data).pixels, expected)


def test_a_jpeg_with_bytes_after_its_end_is_read_and_one_that_breaks_off_is_not() -> None:
    data = encoded(FILM, "JPEG")
    np.testing.assert_array_equal(image.read(data + b"maker's notes").pixels, image.read(data).pixels)
    for length in (len(data) // 2, len(data) - 200):
        with pytest.raises(UnreadableImage, match="truncated"):
            image.read(data[:length])


def test_transparent_parts_become_black() -> None:
    rgba = np.dstack([FILM, FILM, FILM, np.full_like(FILM, 255)])
    rgba[:50, :, 3] = 0
    pixels = image.read(encoded(Image.fromarray(rgba, "RGBA"))).pixels
    assert (pixels[:50] == 0).all()
    np.testing.assert_array_equal(pixels[50:], FILM[50:])


def test_sixteen_bits_are_windowed_not_truncated() -> None:
    # A 12-bit film in 16 bits: truncation to the high byte would leave 16 grey levels.
    deep = (FILM.astype(np.uint16) * 16) + 3
    for kind in ("PNG", "TIFF"):
        pixels = image.read(encoded(Image.fromarray(deep), kind)).pixels
        low, high = np.percentile(deep, (0.5, 99.5))
        np.testing.assert_array_equal(pixels, np.rint(np.clip((deep - low) * (255 / (high - low)), 0, 255)))
        assert len(np.unique(pixels)) > 100


def test_one_hot_pixel_does_not_darken_a_deep_film() -> None:
    deep = FILM.astype(np.uint16) * 16
    hot = deep.copy()
    hot[0, 0] = 65535
    without, with_hot = (image.read(encoded(Image.fromarray(values))).pixels for values in (deep, hot))
    assert np.abs(without[1:].astype(int) - with_hot[1:]).max() <= 2


@pytest.mark.parametrize("kind", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colour_keeps_its_depth(kind: str, channels: int) -> None:
    deep = np.repeat((FILM.astype(np.uint16) * 16)[..., None], channels, axis=2)
    deep[..., 3:] = 65535
    _, data = cv2.imencode(kind, deep)
    assert len(np.unique(image.read(data.tobytes()).pixels)) > 100


def test_white_is_zero_tiff_is_turned_to_bright_bone() -> None:
    deep = FILM.astype(np.uint16) * 16
    plain, inverted = io.BytesIO(), io.BytesIO()
    Image.fromarray(deep).save(plain, "TIFF")
    Image.fromarray(deep.max() - deep).save(inverted, "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(image.read(plain.getvalue()).pixels, image.read(inverted.getvalue()).pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_exif_orientation(orientation: int, kind: str) -> None:
    # How each orientation stores an upright picture (TIFF 6.0, tag 274).
    stored = {
        1: FILM, 2: FILM[:, ::-1], 3: FILM[::-1, ::-1], 4: FILM[::-1], 5: FILM.T,
        6: np.rot90(FILM, 1), 7: FILM[::-1, ::-1].T, 8: np.rot90(FILM, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(image.read(encoded(np.ascontiguousarray(stored), kind, exif=exif)).pixels, FILM)


def sixteen_bit_colour_tiff(pixels: NDArray[np.uint16], orientation: int) -> bytes:
    """A minimal little-endian TIFF 6.0 file, which Pillow cannot write: one strip, RGB, 16 bits."""
    height, width, channels = pixels.shape
    tags = {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, 3, 8), 259: (3, 1, 1), 262: (3, 1, 2), 273: (4, 1, 14),
        274: (3, 1, orientation), 277: (3, 1, channels), 278: (4, 1, height), 279: (4, 1, pixels.nbytes),
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(tags.items()))
    head = struct.pack("<2sHI3H", b"II", 42, 14 + pixels.nbytes, 16, 16, 16)
    return head + pixels.tobytes() + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_orientation_of_sixteen_bit_colour_tiffs(orientation: int) -> None:
    stored = {1: FILM, 3: FILM[::-1, ::-1], 6: np.rot90(FILM, 1)}[orientation].astype(np.uint16) * 16
    colour = np.ascontiguousarray(np.repeat(stored[..., None], 3, axis=2))
    pixels = image.read(sixteen_bit_colour_tiff(colour, orientation)).pixels
    assert pixels.shape == FILM.shape
    assert np.corrcoef(pixels.ravel(), FILM.ravel())[0, 1] > 0.99


def test_first_page_of_a_tiff_with_a_warning() -> None:
    pages = [Image.fromarray(FILM), Image.fromarray(255 - FILM), Image.fromarray(FILM)]
    picture = image.read(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    np.testing.assert_array_equal(picture.pixels, FILM)
    assert picture.warnings == ("the TIFF has 3 pages; only the first was read",)


GIF = encoded(Image.fromarray(FILM), "GIF", save_all=True, append_images=[Image.fromarray(255 - FILM)])
ANIMATED_WEBP = encoded(Image.fromarray(FILM), "WebP", save_all=True, append_images=[Image.fromarray(255 - FILM)])


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", EmptyInput, "empty"),
        (b"hello, knee", UnsupportedType, "plain text"),
        ("Grüße aus der Röntgenabteilung".encode(), UnsupportedType, "plain text"),
        (b"<!DOCTYPE html><html></html>", UnsupportedType, "an HTML page"),
        (GIF, UnsupportedType, "a GIF"),
        (ANIMATED_WEBP, UnsupportedType, "an animated WebP with 2 frames"),
        (b"%PDF-1.7\n%....", UnsupportedType, "a PDF document"),
        (b"\x00\x00\x00\x20ftypisom....", UnsupportedType, "an MP4 video"),
        (b"PK\x03\x04" + bytes(60), UnsupportedType, "a zip archive"),
        (bytes(128) + b"DICM" + bytes(60), UnsupportedType, "a DICOM file"),
        (b"\x01\x02\x03\x04" * 20, UnsupportedType, "unknown data starting with bytes 01 02 03 04"),
        (encoded(FILM, "JPEG")[:1500], UnreadableImage, "truncated"),
        (encoded(FILM)[:2000], UnreadableImage, "truncated"),
        (b"\xff\xd8\xff" + bytes(100), UnreadableImage, "JPEG cannot be decoded"),
        (png_claiming(60_000, 60_000), InputTooLarge, "3600000000 pixels"),
        (png_claiming(8_100, 8_000), InputTooLarge, "8100 x 8000 pixels"),
        (encoded(np.full((200, 200), 7, np.uint8)), UnusableImage, "every pixel is 7"),
        (encoded(FILM[:40, :40]), UnusableImage, "40 x 40"),
    ],
)
def test_everything_else_is_a_named_error_that_says_what_was_found(
    data: bytes, error: type[InputError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        image.read(data)
    assert caught.value.hint


def test_the_byte_limit_comes_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MAX_BYTES", 1000)
    with pytest.raises(InputTooLarge, match="more than 1,000 bytes"):
        image.read(io.BytesIO(bytes(5000)))


def test_values_that_are_not_finite_are_refused() -> None:
    values = FILM.astype(np.float32)
    values[3, 3] = np.nan
    with pytest.raises(UnusableImage, match="not finite"):
        image.read(encoded(Image.fromarray(values), "TIFF"))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on damaged TIFF tags
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WebP"])
def test_damaged_files_never_raise_anything_else(kind: str) -> None:
    whole = encoded(FILM, kind)
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(150):
        data = bytearray(whole[: random.integers(8, len(whole) + 1)])
        for place in random.integers(0, len(data), 8):
            data[place] = random.integers(0, 256)
        try:
            image.read(bytes(data))
        except InputError:
            refused += 1
    assert refused > 20
