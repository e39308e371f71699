"""Pages, orientation, padding, limits and damage of TIFFs."""

import io
import itertools
import re
import struct
import time
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import encoded, knee_like
from PIL import Image
from tiff_writers import HEIGHT, WIDTH, by_hand, written

from osteolens.errors import InputError, InputTooLarge, TooCostly, UnreadableImage, UnusableImage
from osteolens.films.read import read

FILM = knee_like(HEIGHT, WIDTH)
DEEP = FILM.astype(np.uint16) * 16


def test_the_largest_page_is_read_wherever_it_lies() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(FILM[::4, ::4], subfiletype=1, metadata=None)
        writer.write(FILM, metadata=None)
        writer.write(FILM[:70], metadata=None)
    picture = read(buffer.getvalue())
    np.testing.assert_array_equal(picture.pixels, FILM)
    assert picture.warnings == ("the TIFF has 3 pages; only page 2, the largest, was read",)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_film_as_a_sub_image_of_its_thumbnail(order: str, bigtiff: bool) -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=bigtiff, byteorder=order) as writer:
        writer.write(FILM[::4, ::4], subifds=2, metadata=None)
        writer.write(FILM[::2, ::2], subfiletype=1, metadata=None)
        writer.write(FILM, metadata=None, compression="zlib", predictor=2)
    picture = read(buffer.getvalue())
    np.testing.assert_array_equal(picture.pixels, FILM)
    assert picture.warnings == ("the TIFF has 3 pages; only page 3, the largest, was read",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_holds_for_deep_colour_and_planes(orientation: int) -> None:
    stored = {
        1: FILM, 2: FILM[:, ::-1], 3: FILM[::-1, ::-1], 4: FILM[::-1], 5: FILM.T,
        6: np.rot90(FILM, 1), 7: FILM[::-1, ::-1].T, 8: np.rot90(FILM, -1),
    }[orientation].astype(np.uint16) * 256  # fmt: skip
    upright = read(written(FILM.astype(np.uint16) * 256)).pixels
    colour = np.ascontiguousarray(np.broadcast_to(stored, (3, *stored.shape)))
    tag = [(274, "H", 1, orientation, True)]
    for values, options in ((stored, {}), (colour, {"photometric": "rgb", "planarconfig": "separate"})):
        pixels = read(written(values, extratags=tag, **options)).pixels
        np.testing.assert_allclose(pixels, upright, atol=1)


def test_transparent_and_nodata_pixels_are_no_film() -> None:
    covered = np.zeros(FILM.shape, bool)
    covered[:, :30] = True
    upright = read(written(DEEP[:, 30:])).pixels
    alpha = np.where(covered, 0, 65535).astype(np.uint16)
    for stored, photometric in ((DEEP, "minisblack"), (65535 - DEEP, "miniswhite")):
        for values, options in (
            (np.dstack([np.where(covered, 60000, stored).astype(np.uint16), alpha]), {"extrasamples": ["unassalpha"]}),
            (np.where(covered, 60000, stored).astype(np.uint16), {"extratags": [(42113, "s", 0, "60000", True)]}),
        ):
            pixels = read(written(values, photometric=photometric, **options)).pixels
            assert (pixels[:, :30] == 0).all()
            np.testing.assert_allclose(pixels[:, 30:], upright, atol=1)
    nan = np.where(covered, np.nan, DEEP).astype(np.float32)
    pixels = read(written(nan, extratags=[(42113, "s", 0, "nan", True)])).pixels
    np.testing.assert_allclose(pixels[:, 30:], upright, atol=1)
    with pytest.raises(UnusableImage, match="not finite"):
        read(written(nan))


def test_alpha_of_both_kinds_over_black() -> None:
    """A pixel of 200 under half an alpha (128 of 255) is 100 over black; multiplied already, it stays so."""
    plain = np.dstack([np.full(FILM.shape, 200, np.uint8)] * 3 + [np.where(FILM > 90, 255, 128).astype(np.uint8)])
    multiplied = plain.copy()
    multiplied[..., :3] = np.rint(plain[..., :3] * (plain[..., 3:] / 255.0))
    for values, kind in ((plain, "unassalpha"), (multiplied, "assocalpha")):
        pixels = read(written(values, photometric="rgb", extrasamples=[kind])).pixels
        np.testing.assert_allclose(pixels, np.where(FILM > 90, 200, 100), atol=1)


CODED = {
    5: imagecodecs.lzw_encode, 7: lambda raw: imagecodecs.jpeg8_encode(np.frombuffer(raw, np.uint8).reshape(-1, WIDTH)),
    8: imagecodecs.zlib_encode, 32773: lambda raw: imagecodecs.packbits_encode(raw, axis=-1),
    34925: imagecodecs.lzma_encode, 50000: lambda raw: imagecodecs.zstd_encode(raw), 1: lambda raw: raw,
}  # fmt: skip


@pytest.mark.parametrize("code", CODED)
def test_a_strip_that_breaks_off_is_refused_and_named(code: int) -> None:
    strips = [CODED[code](FILM[top : top + 40].tobytes()) for top in (0, 40)]
    tags = {258: 8, 259: code, 278: 40}
    whole = read(by_hand(tags, strips)).pixels
    np.testing.assert_allclose(whole, FILM, atol=40 if code == 7 else 0)
    for share in (0.2, 0.6, 0.95):
        short = strips[1][: int(len(strips[1]) * share)]
        for damaged in (short, short + b"\xff\xd9"):
            with pytest.raises(UnreadableImage, match="strip 2 of 2"):
                read(by_hand(tags, [strips[0], damaged]))
    data = by_hand(tags, strips)
    for share in (0.05, 0.3, 0.6, 0.99):
        with pytest.raises(UnreadableImage, match="breaks off"):
            read(data[: int(len(data) * share)])


@pytest.mark.parametrize("code", [7, 8, 34925])
def test_damage_in_a_strip_is_refused(code: int) -> None:
    """Deflate and LZMA carry a checksum, libjpeg counts what is corrupt; LZW, PackBits, plain bytes can't show it."""
    strip = CODED[code](FILM.tobytes())
    tags = {258: 8, 259: code, 278: HEIGHT}
    middle = len(strip) // 2
    damaged = strip[:middle] + bytes(400) + strip[middle + 400 :]
    with pytest.raises(UnreadableImage, match="strip 1 of 1 of the TIFF cannot be decoded"):
        read(by_hand(tags, [damaged]))


def test_a_strip_of_the_wrong_jpeg_is_refused() -> None:
    other = imagecodecs.jpeg8_encode(np.ascontiguousarray(FILM[:, :48]))
    with pytest.raises(UnreadableImage, match="48 x 80 pixels, expected 96 x 80"):
        read(by_hand({258: 8, 259: 7, 278: HEIGHT}, [other]))
    progressive = encoded(Image.fromarray(FILM), "JPEG", progressive=True)
    with pytest.raises(UnreadableImage, match="more than 4 scans"):
        read(by_hand({258: 8, 259: 7, 278: HEIGHT}, [progressive]))


def chain(pages: int) -> bytes:
    """Pages that share one strip: 30,000 of them take 4 MB."""
    entry = struct.Struct("<HHII")
    raw, start = bytes(range(256)) * 16, 8
    size = 2 + 7 * 12 + 4
    parts = []
    strip = start + pages * size
    for index in range(pages):
        following = 0 if index == pages - 1 else start + (index + 1) * size
        tags = {256: 64, 257: 64, 258: 8, 262: 1, 273: strip, 278: 64, 279: 4096}
        entries = b"".join(entry.pack(tag, 4, 1, value) for tag, value in tags.items())
        parts.append(struct.pack("<H", 7) + entries + struct.pack("<I", following))
    return struct.pack("<2sHI", b"II", 42, start) + b"".join(parts) + raw


def many_strips(count: int) -> bytes:
    return by_hand({256: 64, 257: count, 258: 8, 278: 1}, [bytes(64)] + [b"\1" * 64] * (count - 1))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: chain(30_000), "more than 1,000 pages"),
        (lambda: many_strips(900_000), "900,000 strips"),
        (lambda: by_hand({258: 8} | {1000 + tag: 0 for tag in range(600)}, [FILM.tobytes()]), "entries"),
        (lambda: by_hand({258: 8, 322: 16, 323: 16, 256: 8000, 257: 8000}, [b"\0"], tiled=True), "250,000 tiles"),
        (lambda: by_hand({258: [16] * 4, 277: 4, 262: 2, 256: 8000, 257: 8000}, [b"\0"]), "take 512,000,000 bytes"),
        (lambda: by_hand({258: 8, 330: list(range(70_000))}, [FILM.tobytes()]), "tag 330 lists 70,000 values"),
        (lambda: by_hand({258: 8, 256: 60_000, 257: 60_000}, [b"\0"]), "3,600,000,000 bytes"),
        (lambda: by_hand({258: 8, 256: 8_100, 257: 8_000}, [bytes(8_100 * 8_000)]), "8100 x 8000 pixels"),
    ],
)
def test_costly_structure_is_refused_before_anything_is_decoded(data: Any, message: str) -> None:
    content = data()
    start = time.process_time()
    with pytest.raises(InputTooLarge, match=message) as caught:
        read(content)
    assert time.process_time() - start < 0.5
    assert caught.value.hint


def test_a_page_that_takes_long_is_refused_before_it_is_decoded() -> None:
    """7,999 one-row strips that all name the same 8,000 bytes of LZMA: 60 ns for each of 64 million bytes, 3.8 s."""
    shared = by_hand({256: 8000, 257: 8000, 258: 8, 259: 34925, 278: 1}, [bytes(8000)] + [b""] * 7999)
    data = bytearray(shared)
    (entries,) = struct.unpack_from("<H", data, 8)
    for place in range(10, 10 + 12 * entries, 12):
        tag, _, count, where = struct.unpack_from("<HHII", data, place)
        if tag in (273, 279):
            first = data[where : where + 4]
            data[where : where + 4 * count] = first * count
    with pytest.raises(TooCostly, match=r"about 4\.6 s"):
        read(bytes(data))


def test_pages_that_point_back_are_read_once() -> None:
    data = bytearray(chain(2))
    struct.pack_into("<I", data, 8 + 2 * 90 - 4, 8)  # the second page's link leads to the first
    assert read(bytes(data)).warnings == ("the TIFF has 2 pages; only the first was read",)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({278: 10}, "should have 8 strips, it lists 1"),
        ({278: 0}, "strips of 96 x 0 pixels"),
        ({256: 0}, "claims 0 x 80 pixels"),
        ({256: 97}, "holds 7,680 of 7,760 bytes"),
        ({258: b"8"}, "tag 258 has type 7"),
    ],
)
def test_contradictions_are_refused_with_what_was_found(tags: dict[int, Any], message: str) -> None:
    with pytest.raises(UnreadableImage, match=message):
        read(by_hand({258: 8} | tags, [FILM.tobytes()]))


def test_damaged_tiffs_give_named_errors_without_addresses() -> None:
    random = np.random.default_rng(3)
    wholes = [
        written(DEEP, compression="zlib", predictor=2, byteorder=order, bigtiff=big, tile=(32, 32))
        for order, big in itertools.product("<>", (False, True))
    ] + [encoded(Image.fromarray(FILM), "TIFF", compression=name) for name in ("jpeg", "tiff_lzw", "packbits")]
    messages = []
    for whole in wholes:
        for _ in range(150):
            data = bytearray(whole)
            for place in random.integers(4, min(len(data), 600), 4):
                data[place] = random.integers(0, 256)
            try:
                read(bytes(data))
            except InputError as error:
                messages.append(str(error))
    assert len(messages) > 300
    assert not [message for message in messages if re.search(r"0x[0-9a-f]{6,}|object at", message)]
