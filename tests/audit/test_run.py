"""The whole audit on made-up data sets in which one thing at a time is wrong."""

import csv
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.audit import Picture, film, resized, save, turned
from typer.testing import CliRunner, Result

from osteolens.cli.root import app
from osteolens.console import Status

FILMS = 8


def audit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def result_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "audit.json").read_text())


def kinds(out: Path) -> list[str]:
    return [finding["kind"] for finding in result_of(out)["findings"]]


def rows() -> list[dict[str, str]]:
    """Films of different patients, half in each part and of each label in both."""
    return [
        {
            "file": f"{n}.png",
            "label": "ill" if n % 2 else "well",
            "group": f"p{n}",
            "split": "test" if n < 4 else "train",
        }
        for n in range(FILMS)
    ]


def write(folder: Path, table: list[dict[str, str]]) -> Path:
    with (folder / "films.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return folder / "films.csv"


@pytest.fixture
def folder(tmp_path: Path, few_trees: None) -> Path:
    for number in range(FILMS):
        save(tmp_path / f"{number}.png", film(number))
    return tmp_path


def add(folder: Path, picture: Picture | None, **values: str) -> Path:
    """The table with one more row, of a new group in the training part unless told otherwise."""
    row = {"file": "new.jpg", "label": "well", "group": "new", "split": "train"} | values
    if picture is not None:
        save(folder / row["file"], picture)
    return write(folder, [*rows(), row])


def test_a_clean_set_passes(folder: Path) -> None:
    result = audit(write(folder, rows()), "--out", folder / "out")
    assert result.exit_code == 0
    assert "No leak was found: no patient and no picture is on two sides of the split." in result.stdout
    assert kinds(folder / "out") == ["class-balance"]  # four of each are few, which is only a note
    assert result_of(folder / "out")["matches"] == []
    assert str(folder / "out" / "audit.html") in result.stdout.replace("\n", "")


DERIVED: dict[str, tuple[Callable[[Picture], Picture], str]] = {
    "re-encoded": (lambda picture: picture, "a copy"),
    "mirrored": (lambda picture: picture[:, ::-1], "a copy, mirrored"),
    "turned by a quarter": (np.rot90, "a copy, turned by -90 degrees"),
    "turned a little": (lambda picture: turned(picture, 7), "a copy, turned by 7 degrees"),
    "resized": (lambda picture: resized(picture, 100, 120), "a copy, at 0.50 times the size"),
    "squeezed": (lambda picture: resized(picture, 96, 192), "a copy, at 0.62 times the size"),
    "cropped": (lambda picture: picture[60:200, 40:170], "a part"),
    "cropped and mirrored": (lambda picture: picture[60:200, 40:170][:, ::-1], "a part, mirrored"),
}


@pytest.mark.parametrize("how", DERIVED)
def test_a_derived_picture_on_the_other_side_is_a_leak(how: str, folder: Path) -> None:
    derive, relation = DERIVED[how]
    result = audit(add(folder, derive(film(1)), label="ill"), "--out", folder / "out")
    assert result.exit_code == Status.FINDINGS
    assert result.stdout.startswith("The split leaks")
    leak = result_of(folder / "out")["findings"][0]
    assert (leak["kind"], leak["severity"], leak["count"]) == ("picture-on-both-sides", "leak", 2)
    (match,) = leak["matches"]
    assert (match["first"]["file"], match["second"]["file"]) == ("1.png", "new.jpg")
    assert match["relation"] == relation
    assert "same-picture-two-labels" not in kinds(folder / "out")
    assert "same-picture-two-groups" in kinds(folder / "out")


def test_the_same_file_on_both_sides(folder: Path) -> None:
    result = audit(add(folder, None, file="1.png", label="ill", group="p1"), "--out", folder / "out")
    assert result.exit_code == Status.FINDINGS
    assert result_of(folder / "out")["matches"][0]["kind"] == "same file"
    assert kinds(folder / "out")[:2] == ["picture-on-both-sides", "group-on-both-sides"]


def test_a_patient_on_both_sides(folder: Path) -> None:
    result = audit(add(folder, film(99), group="p1"), "--out", folder / "out")
    assert result.exit_code == Status.FINDINGS
    assert kinds(folder / "out") == ["group-on-both-sides", "class-balance"]


def test_the_same_picture_under_two_labels_is_no_leak_but_a_fault(folder: Path) -> None:
    path = add(folder, film(1)[30:, 20:], label="well", group="p1", split="test")
    result = audit(path, "--out", folder / "out")
    assert result.exit_code == 0
    assert kinds(folder / "out") == ["same-picture-two-labels", "copies", "class-balance"]
    assert "FAULT  1 film has pictures under different labels" in result.stdout


def test_missing_and_broken_files_are_findings(folder: Path) -> None:
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:500])
    table = [
        *rows(),
        {"file": "broken.png", "label": "ill"},
        {"file": "absent.png", "label": "ill"},
        {"file": "", "label": "ill"},
    ]
    result = audit(write(folder, table), "--out", folder / "out")
    assert result.exit_code == 0
    (unreadable,) = [finding for finding in result_of(folder / "out")["findings"] if finding["kind"] == "unreadable"]
    assert unreadable["count"] == 3
    assert [line.split(":")[0] for line in unreadable["lines"]] == ["broken.png", "absent.png", ""]


def test_a_set_in_which_nothing_can_be_read_is_wrong_input(tmp_path: Path) -> None:
    path = write(tmp_path, [{"file": "a.png", "label": "ill"}, {"file": "b.png", "label": "well"}])
    result = audit(path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert f"none of the 2 files of films.csv can be read; the first is {tmp_path}/a.png: No such" in result.stderr
    assert not (tmp_path / "out").exists()


def test_two_data_sets_leak_only_as_different_parts(folder: Path) -> None:
    path = write(folder, rows()[4:])
    other = folder / "other"
    save(other / "ill" / "a.png", film(5)[20:, 10:])
    save(other / "well" / "b.png", film(50))
    for parts, status in (((), 0), (("--compare-part", "train"), 0), (("--compare-part", "test"), Status.FINDINGS)):
        result = audit(path, "--compare", other, *parts, "--out", folder / "out")
        assert result.exit_code == status
        assert "1 of 4 pictures of films.csv is also in other" in result.stdout
    leak = result_of(folder / "out")["findings"][0]
    assert leak["lines"] == ["1 x film in test and train"]
    assert {picture["data_set"] for picture in leak["pictures"]} == {"films.csv", "other"}


def test_data_sets_of_the_same_name_are_told_apart(folder: Path) -> None:
    path = write(folder, rows())
    (folder / "copy").mkdir()
    save(folder / "copy" / "0.png", film(0))
    other = write(folder / "copy", rows()[:1])
    audit(path, "--compare", other, "--out", folder / "out")
    (match,) = result_of(folder / "out")["matches"]
    assert (match["first"]["data_set"], match["second"]["data_set"]) == (str(path), str(other))


def test_patients_are_followed_through_file_names(tmp_path: Path) -> None:
    for number, name in enumerate(("train/0/11L.png", "train/1/12L.png", "val/0/13L.png", "val/1/11R.png")):
        save(tmp_path / "knees" / name, film(number))
    assert audit(tmp_path / "knees", "--out", tmp_path / "a").exit_code == 0
    result = audit(tmp_path / "knees", "--group-pattern", r"(\d+)[LR]", "--out", tmp_path / "b")
    assert result.exit_code == Status.FINDINGS
    assert result_of(tmp_path / "b")["findings"][0]["lines"] == ["11: train 1, val 1"]


def test_a_brightness_that_follows_the_label_and_ages_of_sources(tmp_path: Path) -> None:
    table = []
    for number in range(24):
        picture = film(number, 120, 100).astype(float) * (0.5 if number % 2 else 1)
        save(tmp_path / f"{number}.png", picture.astype(np.uint8))
        label, source = "ill" if number % 2 else "well", "here" if number < 12 else "there"
        table.append({"file": f"{number}.png", "label": label, "age": str(40 + number), "source": source})
    result = audit(write(tmp_path, table), "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "No split was given" in result.stdout
    strengths = {(test["facts"], test["target"]): test["strength"] for test in result_of(tmp_path / "out")["shortcuts"]}
    assert strengths["brightness", "label"] == "strong"
    assert strengths["age", "label"] == "none"
    assert "file-shortcut" in kinds(tmp_path / "out")
    here, there = result_of(tmp_path / "out")["tables"]["source"]
    assert (here["age"], there["age"]) == ([42.75, 45.5, 48.25], [54.75, 57.5, 60.25])


def test_the_page_holds_verdict_findings_pictures_and_tables(folder: Path) -> None:
    path = add(folder, film(1)[60:200, 40:170], label="well", group="<p>")
    audit(path, "--out", folder / "out")
    page = (folder / "out" / "audit.html").read_text()
    for finding in result_of(folder / "out")["findings"]:
        assert f'id="{finding["kind"]}"' in page
    assert "The split leaks" in page
    assert "group &lt;p&gt;" in page
    assert "<p>)" not in page
    assert re.search(r"The right one is a part \(correlation of detail (0\.9\d|1\.00)\)", page)
    assert page.count('src="data:image/jpeg;base64,') >= 6
    assert "Pictures by device family" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # one file, nothing fetched


def test_long_lists_are_cut_in_the_page_but_not_in_the_json(tmp_path: Path) -> None:
    save(tmp_path / "here.png", film(1))
    table = [{"file": "here.png", "label": "ill"}]
    table += [{"file": f"absent-{number}.png", "label": "ill"} for number in range(30)]
    audit(write(tmp_path, table), "--out", tmp_path / "out")
    page = (tmp_path / "out" / "audit.html").read_text()
    assert len(set(re.findall(r"absent-\d+", page))) == 12
    assert "And 18 more: all are in audit.json." in page
    assert len(result_of(tmp_path / "out")["findings"][0]["lines"]) == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv"], "error: there is no table or folder absent.csv"),
        (["{folder}/0.png"], "is not text; expected a table"),
        (["{folder}/films.csv", "--label-column", "kind"], "has no column 'kind' for --label-column"),
        (["{folder}/films.csv", "--predictor", "ward"], "has no column 'ward'; its columns are file"),
        (
            ["{folder}/films.csv", "--compare", "{folder}/films.csv", "--compare-group-column", "x"],
            "for --compare-group",
        ),
        (["{folder}/empty"], "holds no pictures"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, rows())
    (folder / "empty").mkdir()
    result = audit(*(argument.format(folder=folder) for argument in arguments), "--out", folder / "out")
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (folder / "out").exists()


def test_names_that_are_not_text_and_files_that_are_no_pictures_end_nothing(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"films\xff")
    for number in range(4):
        save(folder / ("ill" if number % 2 else os.fsdecode(b"well\xfe")) / f"{number}.png", film(number))
    (folder / "ill" / os.fsdecode(b"broken\xfd.png")).write_bytes(b"\x89PNG broken")
    result = audit(folder, "--out", folder / "out")
    assert result.exit_code == 0, result.output
    assert "unreadable" in kinds(folder / "out")
    [finding] = [entry for entry in result_of(folder / "out")["findings"] if entry["kind"] == "unreadable"]
    assert finding["lines"][0].startswith(r"ill/broken\xfd.png: ")
    assert r"well\xfe" in (folder / "out" / "audit.html").read_text(encoding="utf-8")
    assert not list((folder / "out").glob(".*"))
