import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.films import save_film

from osteolens.card import PreprocessSpec
from osteolens.datasets.films import load_pictures, read_films, split_side
from osteolens.datasets.folds import split
from osteolens.errors import DataError
from osteolens.films.joints import Finder, Joint
from osteolens.labels import label_order


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        save_film(tmp_path / name, 150, 0)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "films.csv"
    path.write_text(text)
    return path


def problems(folder: Path, text: str, skip: str = "") -> list[str]:
    with pytest.raises(DataError) as caught:
        read_films(write(folder, text), skip)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_a_full_row(folder):
    text = "\ufefffile,label,group,t_score,age,sex,note\na.png, osteopenia ,p1,-1.5,63,Female,x\n"
    [row] = read_films(write(folder, text))
    assert (row.path, row.label, row.group, row.place) == (folder / "a.png", "osteopenia", "p1", "line 2")
    assert (row.t_score, row.age, row.sex) == (-1.5, 63.0, "female")


def test_without_optional_columns_each_file_is_its_own_group(folder):
    first, second = read_films(write(folder, "file,label\na.png,normal\nb.png,osteopenia\n"))
    assert (first.group, second.group) == ("a.png", "b.png")
    assert math.isnan(first.t_score)
    assert math.isnan(first.age)
    assert first.sex == ""


def test_all_bad_rows_are_named_with_their_lines(folder):
    text = """file,label,group,t_score,age
a.png,normal,g,-1,40
none.png,normal,g,-1,40
b.png,osteopena,g,-1,40
c.png,normal,,-1,40
c.png,normal,g,low,40
c.png,normal,g,-1,400
c.png,normal,g,nan,40
,normal,g,-1,40
a.png,normal,h,-1,40
"""
    assert problems(folder, text) == [
        f"line 3: there is no file {folder / 'none.png'}",
        "line 5: group is empty",
        "line 6: t_score is 'low', which is not a number such as -1.5",
        "line 7: age is 400, expected 0 to 130, such as 63",
        "line 8: t_score is nan, expected -15 to 15, such as -1.5",
        "line 9: file is empty",
        "line 4: unknown label 'osteopena'; use normal, osteopenia, osteoporosis, severe osteoporosis",
        "line 10: a.png is already named on line 2",
    ]


def test_only_the_first_twenty_are_shown(folder):
    message = problems(folder, "file,label\n" + "none.png,normal\n" * 25)
    assert len(message) == 21
    assert message[19].startswith("line 21:")
    assert message[20] == "and 5 more"


def test_a_row_that_is_cut_short(folder):
    assert problems(folder, "file,label,group\na.png,normal\n") == ["line 2: group is empty"]


def test_skipped_rows_are_not_even_checked(folder):
    text = "file,label,conflict\na.png,normal,0\nnone.png,,1\nb.png,osteopenia,\nnone.png,x,TRUE\n"
    assert [film.file for film in read_films(write(folder, text), "conflict")] == ["a.png", "b.png"]


def test_a_skip_that_is_neither_true_nor_false(folder):
    text = "file,label,conflict\na.png,normal,maybe\n"
    assert problems(folder, text, "conflict") == ["line 2: conflict is 'maybe'; use 0 or 1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,class\na.png,normal\n", "has no column 'label'; its columns are file, class"),
        ("", "has no column 'file'; its columns are none"),
        ("file,label\n", "has no rows to train on"),
    ],
)
def test_tables_without_content(folder, text, message):
    with pytest.raises(DataError, match=message):
        read_films(write(folder, text))


def test_a_skip_column_that_is_not_there(folder):
    with pytest.raises(DataError, match="no column 'conflict'"):
        read_films(write(folder, "file,label\na.png,normal\n"), "conflict")


def test_a_folder_by_class(tmp_path):
    for name in ("normal/1.png", "osteopenia/1.png", "osteopenia/2.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save_film(tmp_path / name, 150, 0)
    (tmp_path / "normal" / "notes.txt").write_text("not a film")
    films = read_films(tmp_path)
    assert [(entry.label, entry.group) for entry in films] == [
        ("normal", "normal/1.png"),
        ("osteopenia", "osteopenia/1.png"),
        ("osteopenia", "osteopenia/2.PNG"),
    ]


def test_a_folder_without_classes(folder):
    with pytest.raises(DataError, match="one folder per class"):
        read_films(folder)
    with pytest.raises(DataError, match="is a folder"):
        read_films(folder, "conflict")


def test_labels_keep_the_order_of_severity_or_are_sorted():
    assert label_order(["osteoporosis", "normal"]) == ("normal", "osteoporosis")
    assert label_order(["10", "0", "2"]) == ("0", "2", "10")
    with pytest.raises(DataError, match="found only normal"):
        label_order(["normal"])


def test_pictures_come_prepared_and_bad_ones_are_named(folder, quiet):
    table = write(folder, "file,label\na.png,normal\nb.png,osteopenia\n")
    spec = PreprocessSpec(height=64, width=48)
    pictures = load_pictures(read_films(table), spec, quiet)
    assert (pictures.shape, pictures.dtype) == ((2, 1, 64, 48), np.uint8)
    assert pictures[0, 0, 32].mean() == pytest.approx(150, abs=8)

    (folder / "b.png").write_bytes(b"%PDF-1.7")
    with pytest.raises(DataError, match=r"1 problem:\n  line 3: b\.png: found"):
        load_pictures(read_films(table), spec, quiet)


def rows_of(*columns: str, **values: str) -> str:
    """24 films of 12 patients as a table with other names for its columns."""
    lines = [",".join(columns)]
    for number in range(24):
        cells = {
            "file": f"f{number}.png",
            "label": ("normal", "osteopenia")[number // 2 % 2],
            "group": f"p{number // 2}",
        }
        lines.append(",".join((cells | values).get(name.strip().casefold(), "x") for name in columns))
    return "\n".join(lines) + "\n"


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    for number in range(24):
        save_film(tmp_path / f"f{number}.png", 150, number)
    return tmp_path


@pytest.mark.parametrize("group", ["group", " group", "Group", "GROUP "])
def test_no_patient_is_on_two_sides_however_the_column_is_written(patients, group):
    films = read_films(write(patients, rows_of("file", group, "label")))
    parts = split([f.label for f in films], [f.group for f in films], validation=0.2, test=0.25, seed=0, held_out=[])
    sides: dict[str, set[str]] = {}
    for entry, part in zip(films, parts, strict=True):
        sides.setdefault(entry.group, set()).add(str(part))
    assert len(sides) == 12
    assert all(len(parts) == 1 for parts in sides.values())


@pytest.mark.parametrize("name", ["patient_id", "PatientID", "patient", "pid", "Group ID"])
def test_a_group_under_another_name_is_refused(patients, name):
    with pytest.raises(DataError, match=f"'{name}' of .* looks like 'group'.*rename it to group"):
        read_films(write(patients, rows_of("file", name, "label")))


def test_columns_that_are_not_used_are_listed_once(patients):
    lines: list[str] = []
    read_films(write(patients, rows_of("file", "group", "label", "film", "ward")), notify=lines.append)
    assert lines == ["Columns of films.csv that are not used: film, ward."]


def test_a_decimal_comma_is_an_error_with_its_line_or_a_number(folder):
    message = problems(folder, "file,label,t_score,age,sex\na.png,normal,-0,5,44,female\nb.png,normal,-0.5,44,f\n")
    assert message[0].startswith("line 2: 6 cells, but the first line has 5; write decimals with a point")
    assert len(message) == 1
    [film] = read_films(write(folder, "file;label;t_score;age;sex\na.png;normal;-0,5;44;W\n"))
    assert (film.t_score, film.age, film.sex) == (-0.5, 44.0, "female")


def test_the_words_for_sex_are_read_and_the_others_refused_by_line(folder):
    text = "file,label,sex\na.png,normal,F\nb.png,normal,männlich\nc.png,normal,\n"
    assert [film.sex for film in read_films(write(folder, text))] == ["female", "male", ""]
    first, second = problems(folder, "file,label,sex\na.png,normal,0\nb.png,normal,other\nc.png,normal,F\n")
    assert first.startswith("line 2: sex is '0', which can mean either; say female or male")
    assert second.startswith("line 3: sex is 'other', which is not known; say female or male")


def test_labels_that_differ_only_in_case_are_refused(folder):
    message = problems(folder, "file,label\na.png,Mild\nb.png,mild\nc.png,severe\n")
    assert message == ["the labels 'Mild' and 'mild' differ only in case; write them alike"]


def test_a_name_that_is_not_text_is_read_and_named_as_text(folder, quiet):
    raw = os.fsdecode(b"knie\xfc.png")
    save_film(folder / raw, 150, 1)
    (folder / "films.csv").write_bytes(b"file,label\nknie\xfc.png,normal\na.png,osteopenia\n")
    first, _ = read_films(folder / "films.csv")
    assert (first.path, first.file) == (folder / raw, "knie\u00fc.png")
    ill = folder / "films" / os.fsdecode(b"ill\xff")
    ill.mkdir(parents=True)
    save_film(ill / raw, 150, 1)
    [row] = read_films(folder / "films")
    assert (row.file, row.label) == ("ill\\xff/knie\\xfc.png", "ill\\xff")
    assert load_pictures([row], PreprocessSpec(height=64, width=64), quiet).shape == (1, 1, 64, 64)


def test_a_folder_says_what_it_passes_over_and_refuses_what_lies_deeper(tmp_path):
    names = ("ill/1.png", "well/2.png", "ill/.ipynb_checkpoints/1-checkpoint.png", "@eaDir/3.png", "montage.png")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save_film(tmp_path / name, 150, 0)
    (tmp_path / "ill" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "ill" / "notes.txt").write_bytes(b"x")
    lines: list[str] = []
    assert [film.file for film in read_films(tmp_path, notify=lines.append)] == ["ill/1.png", "well/2.png"]
    assert lines == [
        "Passed over: 3 hidden or system files and folders and 2 files that are no pictures by their names "
        "(.txt, beside the class folders)."
    ]
    (tmp_path / "well" / "p7").mkdir()
    save_film(tmp_path / "well" / "p7" / "4.png", 150, 0)
    with pytest.raises(DataError, match=r"well/p7/4.png: a picture below its class folder"):
        read_films(tmp_path)


def test_a_linked_class_is_read_and_one_file_in_two_classes_refused(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "films" / "well").mkdir(parents=True)
    save_film(tmp_path / "store" / "1.png", 150, 0)
    save_film(tmp_path / "films" / "well" / "2.png", 150, 1)
    (tmp_path / "films" / "ill").symlink_to(tmp_path / "store")
    assert [film.label for film in read_films(tmp_path / "films")] == ["ill", "well"]
    (tmp_path / "films" / "well" / "3.png").symlink_to(tmp_path / "store" / "1.png")
    with pytest.raises(DataError, match=r"well/3.png: well/3.png is already named on ill/1.png"):
        read_films(tmp_path / "films")


SIDES = "file,label,side\na.png,normal,right\na.png,osteopenia,L\nb.png,normal,\n"


def test_rows_may_be_about_one_knee_of_a_film(folder):
    right, left, whole = read_films(write(folder, SIDES), knees=True)
    assert [(film.file, film.side) for film in (right, left, whole)] == [
        ("a.png#right", "right"), ("a.png#left", "left"), ("b.png", None)
    ]  # fmt: skip
    assert right.path == left.path == folder / "a.png"
    assert split_side("a#b.png") == ("a#b.png", None)


def test_sides_mean_nothing_to_a_model_of_whole_films(folder):
    sentences: list[str] = []
    first, second = read_films(write(folder, SIDES.replace("a.png,osteo", "c.png,osteo")), notify=sentences.append)[:2]
    assert (first.file, second.file) == ("a.png", "c.png")
    assert sentences == ["Columns of films.csv that are not used: side."]
    assert problems(folder, SIDES) == ["line 3: a.png is already named on line 2"]


def test_wrong_and_repeated_sides_are_named(folder):
    text = "file,label,side\na.png,normal,right\na.png,normal,R\nb.png,normal,both\n"
    with pytest.raises(DataError) as caught:
        read_films(write(folder, text), knees=True)
    assert [line.strip() for line in str(caught.value).splitlines()[1:]] == [
        "line 4: side is 'both'; say left or right, or leave it empty for a film of one knee",
        "line 3: a.png#right is already named on line 2",
    ]


def test_pictures_of_knees_are_cut_out_of_their_films(folder, quiet, monkeypatch):
    pixels = np.zeros((300, 400), np.uint8)
    pixels[100:200, 60:140], pixels[100:200, 260:340] = 120, 240
    Image.fromarray(pixels).save(folder / "a.png")
    joints = tuple(Joint(x, 150, 66, 0, left, 0.9) for x, left in ((100, 0.05), (300, 0.95)))
    monkeypatch.setattr(Finder, "__init__", lambda self, path: None)
    monkeypatch.setattr(Finder, "find", lambda self, pixels: joints if pixels.shape == (300, 400) else ())
    spec = PreprocessSpec(height=32, width=32, view="each knee")
    right, left, whole = load_pictures(read_films(write(folder, SIDES), knees=True), spec, quiet)
    assert (right[0, 16, 16], left[0, 16, 16]) == (120, 240)
    assert whole.shape == (1, 32, 32)
    with pytest.raises(DataError, match="the film shows 2 knees"):
        load_pictures(read_films(write(folder, "file,label\na.png,normal\n"), knees=True), spec, quiet)
