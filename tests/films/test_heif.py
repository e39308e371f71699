import io
import sys

import numpy as np
import pytest
from conftest import encoded, knee_like
from PIL import features

from osteolens.errors import UnreadableImage, UnsupportedType
from osteolens.films.read import Image, read
from osteolens.films.sniff import sniff

FILM = knee_like(256, 200)


def box(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (len(body) + 4).to_bytes(4) + body + bytes(64)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        *((box(brand), "a HEIC picture") for brand in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"mif1", b"msf1")),
        (box(b"avif"), "an AVIF picture"),
        (box(b"avis"), "an AVIF picture"),
        (box(b"mif1", b"avif", b"miaf"), "an AVIF picture"),
        (box(b"mif1", b"mif1", b"heic"), "a HEIC picture"),
        (box(b"isom", b"mp41"), "an MP4 video"),
        (box(b"qt  "), "an MP4 video"),
    ],
)
def test_phone_pictures_are_told_from_videos_by_all_their_brands(data: bytes, name: str) -> None:
    assert sniff(data) == name


def test_without_a_decoder_the_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for data, name in ((box(b"mif1", b"heic"), "HEIC"), (box(b"avif"), "AVIF")):
        with pytest.raises(UnsupportedType, match=f"found a picture as {name}, for which no decoder is installed"):
            read(data)


def test_heic_is_read_where_its_decoder_is_installed() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(FILM)).save(stream, quality=95)
    picture = read(stream.getvalue())
    assert picture.format == "HEIC"
    assert np.abs(picture.pixels.astype(int) - FILM).mean() < 3
    with pytest.raises(UnreadableImage, match="the HEIC cannot be decoded"):
        read(stream.getvalue()[:900])


def test_avif_is_read_where_its_decoder_is_installed() -> None:
    pytest.importorskip("pillow_heif")
    if not features.check("avif"):
        pytest.skip("this Pillow is built without AVIF")
    data = encoded(FILM, "AVIF", quality=90)
    picture = read(data)
    assert picture.format == "AVIF"
    assert np.abs(picture.pixels.astype(int) - FILM).mean() < 4
    with pytest.raises(UnreadableImage, match="the AVIF cannot be decoded"):
        read(data[:300])
