import io
import re
import time

import numpy as np
import pytest
from conftest import encoded, knee_like
from PIL import Image

from osteolens.errors import InputError, TooCostly, UnreadableImage
from osteolens.films import jpeg
from osteolens.films.read import read

FILM = knee_like(400, 360)
GREY = encoded(FILM, "JPEG", quality=90)
COLOUR = Image.fromarray(FILM).convert("RGB")
PROGRESSIVE = encoded(FILM, "JPEG", quality=90, progressive=True)


def pixels_start(data: bytes) -> int:
    """Where the first scan's data begin."""
    place = data.index(b"\xff\xda") + 2
    return place + int.from_bytes(data[place : place + 2])


def with_segments(data: bytes, extra: bytes) -> bytes:
    """Something between the start mark and everything else."""
    return data[:2] + extra + data[2:]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_film_that_is_cut_and_closed_again_is_refused_whatever_its_colours(mode: str, progressive: bool) -> None:
    """The file ends as a whole one does: only the decoder notices."""
    data = encoded(Image.fromarray(FILM).convert(mode), "JPEG", quality=90, progressive=progressive)
    read(data)
    start = pixels_start(data)
    for share in (0.1, 0.6, 0.98):
        with pytest.raises(UnreadableImage, match="cannot be decoded"):
            read(data[: start + round(share * (len(data) - start))] + b"\xff\xd9")


def test_zeros_in_the_middle_are_refused() -> None:
    start = pixels_start(GREY) + 4000
    with pytest.raises(UnreadableImage, match=r"premature end|extraneous bytes"):
        read(GREY[:start] + bytes(4096) + GREY[start + 4096 :])


def test_every_scan_must_be_there() -> None:
    """A progressive film that ends behind an earlier scan decodes without a complaint, but blurred."""
    scans = [match.start() for match in re.finditer(rb"\xff[\xda\xc4]", PROGRESSIVE)]
    tables_and_scans = [place for place in scans if place > pixels_start(PROGRESSIVE)]
    assert len(tables_and_scans) >= 5
    for place in tables_and_scans:
        with pytest.raises(UnreadableImage, match=r"its scans leave \d+ of 64 coefficients unfinished"):
            read(PROGRESSIVE[:place] + b"\xff\xd9")


def test_restart_markers_must_come_in_their_order() -> None:
    data = encoded(FILM, "JPEG", quality=90, restart_marker_blocks=40)
    read(data)
    with pytest.raises(UnreadableImage, match=r"instead of RST|premature end|extraneous bytes"):
        read(data.replace(b"\xff\xd3", b"\xff\xd5", 1))


@pytest.mark.parametrize("extra", [b"\xff\xd8", GREY[2 : pixels_start(GREY)]])
def test_a_second_start_or_frame_is_refused(extra: bytes) -> None:
    with pytest.raises(UnreadableImage):
        read(with_segments(GREY, extra))


def test_a_missing_end_mark_is_a_film_that_broke_off() -> None:
    with pytest.raises(UnreadableImage, match="truncated: its end mark is missing"):
        read(GREY[:-2])


def test_oddities_that_no_pixel_depends_on_are_read() -> None:
    whole = read(GREY).pixels
    revision = GREY.index(b"JFIF\x00") + 5
    spectrum = pixels_start(GREY) - 3
    assert GREY[spectrum : spectrum + 3] == b"\x00\x3f\x00"
    odd = bytearray(GREY)
    odd[revision] = 2
    odd[spectrum : spectrum + 3] = bytes(3)
    for data in (
        bytes(odd),
        GREY + b"\xff\xd8 a maker's second picture",
        with_segments(GREY, b"\xff\xff\xff\xe9\x00\x02"),
    ):
        picture = read(data)
        np.testing.assert_array_equal(picture.pixels, whole)
        assert picture.warnings == ()


def test_a_step_that_the_decoder_cannot_notice_is_warned_of() -> None:
    """A DC difference that is changed shifts everything behind it, and the bits end where they should."""
    blocks = np.arange(FILM.size // 64).reshape(FILM.shape[0] // 8, FILM.shape[1] // 8)
    shifted = np.kron(blocks > 25 * 45 + 20, np.ones((8, 8), bool))
    damaged = np.where(shifted, np.clip(FILM.astype(int) + 12, 0, 255), FILM).astype(np.uint8)
    assert read(encoded(FILM, "JPEG", quality=95)).warnings == ()
    (warning,) = read(encoded(damaged, "JPEG", quality=95)).warnings
    assert "damaged JPEG" in warning
    straight = np.where(np.arange(400)[:, None] >= 200, np.minimum(FILM.astype(int) + 12, 255), FILM).astype(np.uint8)
    assert read(encoded(straight, "JPEG", quality=95)).warnings == ()


def claiming(data: bytes, side: int) -> bytes:
    """The same file with another size in its frame header."""
    place = re.search(rb"\xff[\xc0\xc2]\x00", data)
    assert place
    return data[: place.start() + 5] + side.to_bytes(2) * 2 + data[place.start() + 9 :]


LAST_SCAN = PROGRESSIVE[PROGRESSIVE.rindex(b"\xff\xda") : -2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PROGRESSIVE[:-2] + 500 * LAST_SCAN[:20] + b"\xff\xd9", "more than 100 scans"),
        (claiming(PROGRESSIVE[:-2] + 90 * LAST_SCAN[:20] + b"\xff\xd9", 8000), r"would take about \d+\.\d s"),
        (with_segments(GREY, b"\xff" * 30_000_000), "more than 1000 fill bytes"),
        (with_segments(GREY, b"\xff\xe2\x00\x02" * 10_000_000), "more than 1000 segments"),
        (with_segments(GREY, b"\xff\x01" * 10_000_000), "more than 1000 segments"),
    ],
)
def test_structures_that_would_cost_minutes_are_counted_first(data: bytes, message: str) -> None:
    started = time.process_time()
    with pytest.raises(TooCostly, match=message) as caught:
        read(data)
    assert caught.value.status == 413
    assert caught.value.hint
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("filler", [b"\xff\x00", b"\xff\xff", b"\xff\xd0", b"\xff\xd8", b"\x00\x00"])
def test_markers_are_read_in_linear_time(filler: bytes) -> None:
    started = time.process_time()
    with pytest.raises(InputError):
        read(GREY[:-2] + filler * 5_000_000)
    assert time.process_time() - started < 1.0


def test_the_prediction_grows_with_scans_and_pixels() -> None:
    """64 megapixels, one scan, one component: 64e6 pixels of 10 ns, and 20 ns for each byte."""
    layout = jpeg.examine(claiming(GREY, 8000))
    assert layout.seconds == pytest.approx(0.64 + len(GREY) * 20e-9)
    layout = jpeg.examine(claiming(PROGRESSIVE, 8000))
    assert len(layout.scans) == 6
    assert layout.seconds == pytest.approx(0.64 + 6 * 0.064 + len(PROGRESSIVE) * 60e-9)


def test_colours_are_refused_and_read_as_the_grey_film_is() -> None:
    for options in ({"keep_rgb": True}, {"subsampling": 0}, {"subsampling": 2, "progressive": True}):
        data = encoded(COLOUR, "JPEG", quality=90, **options)
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("L", opened.size)
            np.testing.assert_array_equal(read(data).pixels, np.asarray(opened.convert("L")))
