"""Copies of DICOM films without identity: nothing planted is left, and patients, studies and days stay together."""

import io
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.dataset import Dataset
from support.dicom import dataset, knee, save
from support.planted import NUMBERS, ROOT, VALUES, leaks, planted
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.dicomweb.deidentify import deidentify
from osteolens.dicomweb.pseudonyms import load_key
from osteolens.errors import OsteoLensError, UnsupportedType
from osteolens.films.read import read, read_bare

KEY = bytes(range(32))


def film(**elements: Any) -> bytes:
    facts = {"PatientID": "4711", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.1", "StudyDate": "20230105"}
    return save(dataset(knee(200, 160), 12, WindowCenter=2048, WindowWidth=4096, **(facts | elements)))


def copied(data: bytes, key: bytes = KEY, **options: bool) -> Dataset:
    return dcmread(io.BytesIO(deidentify(data, key, **options).data))


def test_of_20_names_and_numbers_in_10_places_each_none_is_left() -> None:
    data = planted()
    with config.disable_value_validation():
        whole = dcmread(io.BytesIO(data))
        places = [str(element.value) for element in whole.iterall() if element.VR not in ("SQ", "OW")]
    assert min(sum(value in place for place in places) for value in VALUES) >= 10
    for options in ({}, {"keep_facts": True}, {"clean_pixels": False}):
        copy = deidentify(data, KEY, **options)
        assert leaks(copy.data, dates=True) == []
        assert ROOT.encode() not in copy.data
    before, after = read(data), read(copy.data)
    assert np.array_equal(before.pixels, after.pixels)


def test_a_damaged_element_that_the_picture_does_not_need_is_left_out() -> None:
    data = planted()
    function = b"\x28\x00\x56\x10"
    assert function + b"CS" in data
    damaged = data.replace(function + b"CS", function + b"C\x98")
    assert np.array_equal(read(damaged).pixels, read(data).pixels)
    for copy in (deidentify(damaged, KEY).data, read_bare(damaged)[1]):
        assert leaks(copy, dates=True) == []
        assert np.array_equal(read(copy).pixels, read(data).pixels)


def test_nothing_that_the_basic_profile_deletes_is_left() -> None:
    copy = copied(planted())
    allowed = {
        "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName",
        "StudyID",
    }  # fmt: skip
    personal = {e.keyword for e in copy if e.tag.group in (0x0010, 0x0032, 0x0038, 0x0040, 0x4008)}
    assert personal <= allowed
    assert [e for e in copy.iterall() if e.tag.is_private] == []
    assert [copy[name].value for name in sorted(allowed - {"PatientID", "PatientName"})] in ([""] * 5, [None] * 5)
    assert copy.PatientIdentityRemoved == "YES"
    codes = [item.CodeValue for item in copy.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101", "113107"]


def test_a_patient_keeps_the_pseudonym_by_the_key() -> None:
    first, second = copied(film(SOPInstanceUID="1.2.1")), copied(film(SOPInstanceUID="1.2.2", PatientName="Other"))
    assert first.PatientID == second.PatientID
    assert first.PatientName == f"{first.PatientID}^"
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert copied(film(PatientID="4712")).PatientID != first.PatientID
    other = copied(film(), bytes(32))
    assert other.PatientID != first.PatientID
    assert other.StudyInstanceUID != first.StudyInstanceUID
    assert deidentify(film(), KEY) == deidentify(film(), KEY)


def test_dates_of_a_patient_move_by_the_same_days() -> None:
    days = [
        date.fromisoformat(copied(film(StudyDate=day, AcquisitionDateTime=f"{day}101112.5+0100")).StudyDate)
        for day in ("20230105", "20240229")
    ]
    assert days[1] - days[0] == date(2024, 2, 29) - date(2023, 1, 5)
    assert 1 <= (date(2023, 1, 5) - days[0]).days <= 3650
    moved = copied(film(AcquisitionDateTime="20230105101112.5+0100", StudyTime="101112"))
    assert moved.AcquisitionDateTime == f"{moved.StudyDate}101112.5"
    assert moved.StudyTime == "101112"
    shifts = {copied(film(PatientID=number)).StudyDate for number in NUMBERS}
    assert len(shifts) > 5


def test_facts_are_kept_on_demand_and_a_great_age_is_cut() -> None:
    facts = {"PatientAge": "097Y", "PatientSex": "F", "PatientWeight": 61.5}
    assert not copied(film(**facts)).get("PatientAge")
    assert not copied(film(**facts)).PatientSex
    kept = copied(film(**facts), keep_facts=True)
    assert (kept.PatientAge, kept.PatientSex, kept.PatientWeight) == ("090Y", "F", 61.5)
    assert kept.DeidentificationMethodCodeSequence[-1].CodeValue == "113108"


def test_terms_of_the_standard_stay_with_its_own_words() -> None:
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "399348003", "SCT", "seen by Quendolin"
    copy = copied(film(ViewCodeSequence=[view], SeriesDescription="Knie links", ImageType=["DERIVED", "PRIMARY", "X"]))
    assert copy.ViewCodeSequence[0].CodeMeaning == "antero-posterior"
    assert copy.ImageLaterality == "L"
    assert list(copy.ImageType) == ["DERIVED", "PRIMARY"]
    assert "SeriesDescription" not in copy


def test_a_copy_is_a_valid_radiograph(tmp_path: Path) -> None:
    """By dciodvfy, which checks every module of the object."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed: apt-get install dicom3tools")
    path = tmp_path / "copy.dcm"
    path.write_bytes(deidentify(film(SOPInstanceUID="1.2.5", PatientOrientation=["L", "F"]), KEY).data)
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []
    assert "CRImage" in done.stderr


def test_overlays_in_bits_that_are_not_stored_are_removed() -> None:
    pixels = knee(200, 160)
    copy = copied(save(dataset(pixels | np.uint16(0x8000), 12)))
    assert np.array_equal(copy.pixel_array, pixels)


def test_a_header_that_speaks_of_text_where_none_is_seen_is_not_called_clean() -> None:
    copy = deidentify(film(BurnedInAnnotation="YES"), KEY)
    assert copy.missed
    header = dcmread(io.BytesIO(copy.data))
    assert header.BurnedInAnnotation == "YES"
    assert "113101" not in [item.CodeValue for item in header.DeidentificationMethodCodeSequence]


def test_other_formats_are_refused() -> None:
    with pytest.raises(UnsupportedType, match="found JPEG"):
        deidentify(b"\xff\xd8\xff" + bytes(200), KEY)


def test_the_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = load_key(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path) == key
    path.chmod(0o640)
    with pytest.raises(OsteoLensError, match="chmod 600"):
        load_key(path)
    path.chmod(0o600)
    path.write_text("something else")
    with pytest.raises(OsteoLensError, match="64 hexadecimal digits"):
        load_key(path)


def test_a_folder_becomes_a_folder_and_broken_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    films = tmp_path / "films"
    (films / "deep").mkdir(parents=True)
    (films / "Quendolin.dcm").write_bytes(planted())
    (films / "deep" / "1.2.3.4").write_bytes(film())
    (films / "deep" / "again").write_bytes(film())
    (films / "cut.dcm").write_bytes(film()[:3000])
    (films / "notes.txt").write_text("Quendolin")
    before = {path: path.read_bytes() for path in films.rglob("*") if path.is_file()}
    result = CliRunner().invoke(app, ["deidentify", "films", "--out", "films/clean"])
    assert result.exit_code == 3
    assert "2 films of 2 patients" in result.stdout
    assert "1 failed" in result.stdout
    assert "films/cut.dcm: " in result.stderr
    copies = sorted((films / "clean").rglob("*.dcm"))
    assert len(copies) == 2
    assert all(leaks(path.read_bytes() + str(path).encode(), dates=True) == [] for path in copies)
    assert {path: path.read_bytes() for path in before} == before
    (films / "cut.dcm").unlink()
    again = CliRunner().invoke(app, ["deidentify", "films", "--out", "films/clean"])
    assert again.exit_code == 0
    assert sorted((films / "clean").rglob("*.dcm")) == copies


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["films", "--out", "films"], "choose another folder"),
        (["films/a.dcm", "--out", "films"], "choose another folder"),
        (["films/a.dcm", "--out", "."], "choose another folder"),
        (["films", "--out", "clean", "--key", "clean/key"], "would lie among the copies"),
        (["nothing", "--out", "clean"], "is not there"),
        (["empty", "--out", "clean"], "no DICOM film"),
    ],
)
def test_wrong_calls_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "films" / "a.dcm").write_bytes(film())
    result = CliRunner().invoke(app, ["deidentify", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "clean").exists()


def test_two_films_with_one_identifier_do_not_replace_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(film())
    (tmp_path / "b.dcm").write_bytes(film(KVP=60))
    names = [str(tmp_path / name) for name in ("a.dcm", "b.dcm")]
    result = CliRunner().invoke(app, ["deidentify", *names, "--out", str(tmp_path / "c"), "--key", str(tmp_path / "k")])
    assert result.exit_code == 3
    assert "same SOP Instance UID" in result.stderr
