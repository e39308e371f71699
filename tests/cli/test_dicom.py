"""`osteolens dicom`: objects per film, refusals by name, exit statuses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch.fake_server import FakeServer
from conftest import encoded, knee_like
from pydicom import dcmread
from support.dicom import dataset, knee, save
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.console import Status

STUDY = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1", "PatientName": "Mustermann^Erika"}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        yield fake


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "knee.dcm"
    path.write_bytes(save(dataset(knee(100, 90), 12, **STUDY)))
    return path


def test_a_film_becomes_four_objects_of_its_study_and_the_same_ones_again(
    server: FakeServer, film: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        done = CliRunner().invoke(app, ["dicom", str(film), "--out", str(out), "--server", server.url])
        assert (done.exit_code, done.stderr) == (0, "")
    names = sorted(path.name.split(".")[:2] for path in out.iterdir())
    assert names == [["knee", kind] for kind in ("map", "page", "picture", "report")]
    for path in out.iterdir():
        made = dcmread(path)
        assert (made.StudyInstanceUID, str(made.PatientName)) == ("1.2.3", "Mustermann^Erika")
        assert path.name.split(".")[2] == made.SOPInstanceUID[-8:]
    assert "Mustermann" not in done.output


def test_another_film_of_the_same_name_gets_other_files(server: FakeServer, film: Path, tmp_path: Path) -> None:
    second = tmp_path / "second" / "knee.dcm"
    second.parent.mkdir()
    second.write_bytes(save(dataset(knee(100, 90), 12, **STUDY | {"SOPInstanceUID": "1.2.3.9"})))
    done = CliRunner().invoke(
        app, ["dicom", str(film), str(second), "-o", str(tmp_path / "o"), "-s", server.url, "--json"]
    )
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert [row["file"] for row in rows] == [str(film), str(second)]
    assert all(set(row["objects"]) == {"picture", "map", "report", "page"} for row in rows)
    assert len(list((tmp_path / "o").iterdir())) == 8


def test_what_is_no_dicom_is_refused_by_name_and_the_rest_goes_on(
    server: FakeServer, film: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "knee.png"
    picture.write_bytes(encoded(knee_like()))
    done = CliRunner().invoke(app, ["dicom", str(picture), str(film), "-o", str(tmp_path / "o"), "-s", server.url])
    assert done.exit_code == Status.SOME_FAILED
    assert f"{picture}: found a PNG, which belongs to no patient and no study (send a DICOM film" in done.stderr
    assert len(list((tmp_path / "o").iterdir())) == 4


def test_without_a_server_the_status_says_so(film: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["dicom", str(film), "-o", str(tmp_path / "o"), "-s", "http://127.0.0.1:9"])
    assert done.exit_code == Status.UNREACHABLE
    assert "no answer from http://127.0.0.1:9" in done.stderr


def test_a_header_that_no_object_can_take_over_is_an_error_that_repeats_no_value(
    server: FakeServer, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    odd = dataset(knee(100, 90), 12, **STUDY | {"PixelSpacing": [0.2, 0.2]})
    content = save(odd).replace(b"0.2\\0.2 ", b"Muster\\n")
    path = tmp_path / "odd.dcm"
    path.write_bytes(content)
    recwarn.clear()
    done = CliRunner().invoke(app, ["dicom", str(path), "-o", str(tmp_path / "o"), "-s", server.url])
    assert done.exit_code == Status.SOME_FAILED
    assert "the DICOM header has a value that no other object can take over (ValueError)" in done.stderr
    assert "Muster" not in done.output + "".join(str(warning.message) for warning in recwarn)
