import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from support import dicom
from support.audit import film, save

from osteolens.audit.pictures import SIDE, Seen, extract, look, look_at_all
from osteolens.datasets.fingerprints import THUMB


def seen(path: Path, features: int = 50) -> Seen:
    looked_at = look(path, features)
    assert isinstance(looked_at, Seen)
    return looked_at


def test_the_facts_of_a_file(tmp_path: Path) -> None:
    picture = np.full((100, 200), 100, np.uint8)
    picture[:, ::2] = 140
    picture[:10] = 0  # a black bar above, a white one right
    picture[:, 150:] = 255
    read = seen(save(tmp_path / "a.png", picture)).facts
    assert (read.format, read.colour, read.width, read.height, read.quality) == (
        "PNG",
        "L",
        200,
        100,
        0,
    )
    assert read.size == (tmp_path / "a.png").stat().st_size
    assert read.brightness == pytest.approx(picture.mean())
    assert read.dark == pytest.approx(10 * 150 / 20_000)
    assert read.bright == pytest.approx(50 * 100 / 20_000)
    assert read.borders == pytest.approx((0, 0, 0, 0.25))  # the bar above is not plain: it ends at the white one


def test_plain_borders_are_measured_from_each_edge(tmp_path: Path) -> None:
    picture = np.zeros((100, 200), np.uint8)
    picture[20:90, 30:160] = film(1, 70, 130)
    assert seen(save(tmp_path / "a.png", picture)).facts.borders == pytest.approx((0.2, 0.1, 0.15, 0.2), abs=0.011)


def test_coarser_jpeg_tables_and_the_device_are_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "CXDI"
    fine = seen(save(tmp_path / "fine.jpg", film(1), quality=95, exif=exif)).facts
    coarse = seen(save(tmp_path / "coarse.jpg", film(1), quality=30)).facts
    assert coarse.quality > 5 * fine.quality
    assert (fine.device, coarse.device) == ("Canon CXDI", "")
    assert fine.file_sha256 != coarse.file_sha256


def test_the_same_pixels_in_another_file_have_the_same_hash(tmp_path: Path) -> None:
    png, bmp = (seen(save(tmp_path / name, film(1))).facts for name in ("a.png", "a.bmp"))
    assert png.file_sha256 != bmp.file_sha256
    assert png.pixel_sha256 == bmp.pixel_sha256


def test_large_pictures_are_kept_small(tmp_path: Path) -> None:
    tall = seen(save(tmp_path / "a.png", film(1, 2 * SIDE, SIDE)))
    assert tall.small.shape == (SIDE, SIDE // 2)
    assert tall.thumb.shape == (THUMB, THUMB)


def test_features_are_the_strongest_first() -> None:
    picture = film(1)
    few, many = extract(picture, 10), extract(picture, 100)
    assert (few[0].shape, few[1].shape) == ((10, 4), (10, 128))
    np.testing.assert_array_equal(few[0], many[0][:10])
    blank = extract(np.full((100, 100), 7, np.uint8), 10)
    assert (blank[0].shape, blank[1].shape) == ((0, 4), (0, 128))


def test_what_cannot_be_read_is_said_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_text("not a picture")
    (tmp_path / "c.jpg").write_bytes(b"")
    paths = [save(tmp_path / "a.png", film(1)), tmp_path / "b.png", tmp_path / "c.jpg", tmp_path / "d.png", tmp_path]
    first, *others = look_at_all(paths, 10, Console(file=io.StringIO()))
    assert isinstance(first, Seen)
    assert [str(other).split(",")[0].split(" (")[0] for other in others] == [
        "found plain text",
        "the body is empty",
        "No such file or directory",
        "Is a directory",
    ]


def test_a_dicom_film_has_facts_too(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    path.write_bytes(dicom.save(dicom.dataset(dicom.knee(), 12)))
    seen = look(path, 100)
    assert isinstance(seen, Seen)
    assert (seen.facts.format, seen.facts.colour, seen.facts.quality, seen.facts.device) == ("DICOM", "", 0, "")
    assert (seen.facts.height, seen.facts.width) == (96, 80)
