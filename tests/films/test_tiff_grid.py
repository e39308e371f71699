"""Every kind of TIFF is read right or refused by name: a known pattern through the grid of what the format allows."""

import io
import itertools
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from conftest import encoded
from numpy.typing import NDArray
from PIL import Image
from tiff_writers import HEIGHT, PATTERN, WIDTH, by_hand, packed, written

from osteolens.errors import InputError, UnsupportedType
from osteolens.films.read import read


def scaled(dtype: str, bits: int) -> NDArray[Any]:
    """The pattern over the whole range of a number format: [H, W]."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (PATTERN * 4000 - 1000).astype(kind)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if kind.kind == "i" else (0, 2**bits - 1)
    return np.rint(low + PATTERN * (high - low)).astype(kind)


def expected(values: NDArray[Any], bits: int) -> NDArray[np.float64]:
    """Values -> 0 to 255: up to 8 unsigned bits as they are, the rest between the 0.5th and the 99.5th percentile."""
    if values.dtype.kind == "u" and bits <= 8:
        return values * (255 / (2**bits - 1))
    low, high = np.percentile(values.astype(np.float64), (0.5, 99.5))
    return np.clip((values.astype(np.float64) - low) * (255 / (high - low)), 0, 255)


DEPTHS = [
    ("u1", 1), ("u1", 2), ("u1", 4), ("u1", 8), ("u2", 12), ("u2", 16), ("u4", 32),
    ("i1", 8), ("i2", 16), ("i4", 32), ("f2", 16), ("f4", 32), ("f8", 64),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "bits"), DEPTHS)
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_each_depth_in_both_orders_of_bytes_strips_tiles_and_senses(
    dtype: str, bits: int, order: str, bigtiff: bool
) -> None:
    values = scaled(dtype, bits)
    layouts: list[dict[str, Any]] = [{"rowsperstrip": 80}, {"rowsperstrip": 7}, {"tile": (32, 48)}]
    for layout, sense in itertools.product(layouts, ("minisblack", "miniswhite")):
        if bits in (2, 4, 12) and ("tile" in layout or order == ">"):
            continue  # tifffile packs little-endian strips alone: `test_packed_bits` does the rest
        stored = values if sense == "minisblack" else (-values if values.dtype.kind == "f" else inverted(values, bits))
        packing = {} if dtype[1] == str(bits // 8) else {"bitspersample": bits}
        data = written(
            stored.astype(bool) if bits == 1 else stored, byteorder=order, bigtiff=bigtiff, photometric=sense,
            **({} if bits == 1 else packing), **layout,
        )  # fmt: skip
        picture = read(data)
        np.testing.assert_allclose(picture.pixels, expected(values, bits), atol=0.51, err_msg=f"{layout} {sense}")
        assert not [warning for warning in picture.warnings if "page" in warning]


def inverted(values: NDArray[Any], bits: int) -> NDArray[Any]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if values.dtype.kind == "i" else (0, 2**bits - 1)
    return (high - (values.astype(np.int64) - low)).astype(values.dtype)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "adobe_deflate", "packbits", "lzma", "zstd"])
@pytest.mark.parametrize(("dtype", "bits"), [depth for depth in DEPTHS if depth[1] >= 8 and depth[1] != 12])
def test_each_compression_and_predictor(compression: str, dtype: str, bits: int) -> None:
    values = scaled(dtype, bits)
    predictors = [1] if compression == "packbits" else [1, 3] if values.dtype.kind == "f" else [1, 2]
    for order, predictor, layout in itertools.product("<>", predictors, ({"rowsperstrip": 9}, {"tile": (16, 64)})):
        data = written(values, byteorder=order, compression=compression, predictor=predictor, **layout)
        np.testing.assert_allclose(read(data).pixels, expected(values, bits), atol=0.51)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "u4"])
def test_colour_lies_together_or_in_planes(dtype: str, compression: str | None, order: str, planar: str) -> None:
    grey = scaled(dtype, np.dtype(dtype).itemsize * 8).astype(np.float64)
    colour = np.stack([grey, grey * 0.5, grey * 0.25], axis=-1).astype(dtype)
    luminance = colour @ np.array([0.299, 0.587, 0.114])
    for layout, predictor in itertools.product(({"rowsperstrip": 11}, {"tile": (32, 32)}), (1, 2)):
        if predictor == 2 and (compression is None or dtype == "f4"):
            continue
        stored = colour if planar == "contig" else np.moveaxis(colour, -1, 0)
        data = written(
            np.ascontiguousarray(stored), photometric="rgb", planarconfig=planar, byteorder=order,
            compression=compression, **({"predictor": 2} if predictor == 2 else {}), **layout,
        )  # fmt: skip
        truth = luminance if dtype == "u1" else expected(luminance, 64)
        np.testing.assert_allclose(read(data).pixels, truth, atol=1.01)


def test_eight_bits_are_to_the_bit_what_pillow_reads() -> None:
    random = np.random.default_rng(0)
    colour = np.clip(PATTERN[..., None] * 255 + random.normal(0, 30, (HEIGHT, WIDTH, 4)), 0, 255).astype(np.uint8)
    rgb = Image.fromarray(colour[..., :3])
    pictures: list[tuple[Image.Image, dict[str, Any]]] = [
        (rgb, {}), (rgb, {"compression": "tiff_lzw"}), (rgb, {"compression": "jpeg"}),
        (rgb.convert("L"), {"compression": "jpeg", "quality": 40}), (rgb.convert("L"), {"compression": "packbits"}),
        (rgb.quantize(200), {}), (rgb.convert("CMYK"), {}), (rgb.convert("1"), {}),
        (Image.fromarray(colour, "RGBA"), {}), (rgb.convert("LA"), {}), (rgb, {"compression": "tiff_adobe_deflate"}),
    ]  # fmt: skip
    for picture, options in pictures:
        data = encoded(picture, "TIFF", **options)
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            if opened.mode in ("RGBA", "LA"):
                black = Image.new("RGBA", opened.size, (0, 0, 0, 255))
                truth = np.asarray(Image.alpha_composite(black, opened.convert("RGBA")).convert("L"))
            else:
                truth = np.asarray(opened.convert("L"))
        np.testing.assert_array_equal(read(data).pixels, truth, err_msg=f"{picture.mode} {options}")


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"tile": (32, 32)}])
def test_jpeg_strips_and_tiles(layout: dict[str, Any], colour: bool) -> None:
    values = np.rint(PATTERN * 255).astype(np.uint8)
    for photometric in ("rgb",) if colour else ("minisblack", "miniswhite"):  # tifffile turns RGB to YCbCr
        stored = 255 - values if photometric == "miniswhite" else values
        data = written(
            np.repeat(stored[..., None], 3, -1) if colour else stored, compression="jpeg",
            compressionargs={"level": 98}, photometric=photometric, **layout,
        )  # fmt: skip
        np.testing.assert_allclose(read(data).pixels, values, atol=8)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 10, 12, 14])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tiled", [False, True])
def test_packed_bits(bits: int, order: str, tiled: bool) -> None:
    """Packed numbers do not turn with the order of bytes (TIFF 6.0, FillOrder)."""
    values = scaled("u2", bits)
    rows, columns = (16, 32) if tiled else (30, WIDTH)
    parts = [
        values[top : top + rows, left : left + columns]
        for top in range(0, HEIGHT, rows)
        for left in range(0, WIDTH, columns)
    ]
    tags = {258: bits} | ({322: columns, 323: rows} if tiled else {278: rows})
    truth = values * (255 / (2**bits - 1)) if bits <= 8 else expected(values, bits)
    for big, reverse, code in itertools.product((False, True), (False, True), (1, 5)):
        segments = [packed(part, bits) for part in parts]
        if code == 5:
            segments = [imagecodecs.lzw_encode(segment) for segment in segments]
        if reverse:
            segments = [imagecodecs.bitorder_encode(segment) for segment in segments]
        data = by_hand(tags | {266: 1 + reverse, 259: code}, segments, order, big=big, tiled=tiled)
        np.testing.assert_allclose(read(data).pixels, truth, atol=0.51)


def test_jpeg_of_untransformed_rgb_and_with_shared_tables() -> None:
    values = np.rint(PATTERN * 255).astype(np.uint8)
    colour = np.stack([values, values // 2, values // 4], axis=-1)
    truth = np.asarray(Image.fromarray(colour).convert("L"))
    tags = {258: [8, 8, 8], 259: 7, 262: 2, 277: 3, 278: 40}
    strips = [
        imagecodecs.jpeg8_encode(part, level=98, colorspace="RGB", outcolorspace="RGB", subsampling="444")
        for part in (colour[:40], colour[40:])
    ]
    np.testing.assert_allclose(read(by_hand(tags, strips)).pixels, truth, atol=4)
    # Pillow's writer puts the tables in a tag of their own.
    shared = encoded(Image.fromarray(values), "TIFF", compression="jpeg", quality=98)
    assert tifffile.TiffFile(io.BytesIO(shared)).pages[0].jpegtables
    np.testing.assert_allclose(read(shared).pixels, values, atol=4)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dtype": "u8"}, "unsigned samples of 64 bits"),
        ({"dtype": "c8"}, "of format 6 samples of 64 bits"),
        ({"photometric": "cielab", "dtype": "u1", "samples": 3}, "colour kind 8"),
        ({"photometric": "separated", "dtype": "u2", "samples": 4}, "16 bits and colour kind 5"),
        ({"photometric": "rgb", "dtype": "i2", "samples": 3}, "3 signed samples"),
        ({"photometric": "minisblack", "dtype": "u2", "samples": 5}, "5 samples a pixel"),
        ({"compression": "jpeg2000", "dtype": "u1"}, "unknown 34712 compression"),
        ({"compression": "webp", "dtype": "u1", "samples": 3, "photometric": "rgb"}, "unknown 50001 compression"),
        ({"compression": "lerc", "dtype": "u2"}, "unknown 34887 compression"),
    ],
)
def test_what_is_not_read_is_refused_by_name(options: dict[str, Any], reason: str) -> None:
    channels, dtype = options.pop("samples", 1), options.pop("dtype")
    values = np.rint(PATTERN * 100).astype(dtype)
    stored = np.ascontiguousarray(np.repeat(values[..., None], channels, -1)) if channels > 1 else values
    with pytest.raises(UnsupportedType, match=reason) as caught:
        read(written(stored, planarconfig="contig" if channels > 1 else None, **options))
    assert "grey" in caught.value.hint


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({258: 24}, "unsigned samples of 24 bits"),
        ({258: 12, 339: 2}, "signed samples of 12 bits"),
        ({258: 8, 262: 6, 277: 3}, "YCbCr colours and the compression none"),
        ({258: 8, 259: 6}, "unknown 6 compression"),
        ({258: 1, 259: 2}, "fax's compression"),
        ({258: 1, 259: 3}, "fax's compression"),
        ({258: 1, 259: 4}, "fax's compression"),
        ({258: 12, 317: 2, 259: 5}, "predictor 2 on 12-bit samples"),
        ({258: [5, 6, 5], 262: 2, 277: 3}, "unlike samples of .5, 6. bits"),
        ({258: 8, 262: 5, 277: 4, 332: 2}, "other inks"),
        ({258: 8, 262: 3, 320: [0] * 30}, "palette does not have 3 x 256"),
        ({258: 12, 259: 7}, "JPEG compression of 1 x 12 bits"),
    ],
)
def test_what_no_writer_writes_is_refused_by_name(tags: dict[int, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read(by_hand(tags, [bytes(4 * WIDTH * HEIGHT)]))
