import math
from pathlib import Path

import numpy as np
import pytest

from osteolens.card import PreprocessSpec
from osteolens.errors import DataError
from osteolens.training.data import label_order, load_pictures, read_films

from .helpers import film, save_film


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
    [found] = read_films(write(folder, text))
    assert (found.path, found.label, found.group, found.place) == (folder / "a.png", "osteopenia", "p1", "line 2")
    assert (found.t_score, found.age, found.sex) == (-1.5, 63.0, "female")


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
    found = problems(folder, "file,label\n" + "none.png,normal\n" * 25)
    assert len(found) == 21
    assert found[19].startswith("line 21:")
    assert found[20] == "and 5 more"


def test_a_row_that_is_cut_short(folder):
    assert problems(folder, "file,label,group\na.png,normal\n") == ["line 2: group is empty"]


def test_skipped_rows_are_not_even_checked(folder):
    text = "file,label,conflict\na.png,normal,0\nnone.png,,1\nb.png,osteopenia,\nnone.png,x,TRUE\n"
    assert [found.file for found in read_films(write(folder, text), "conflict")] == ["a.png", "b.png"]


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
    found = read_films(tmp_path)
    assert [(entry.label, entry.group) for entry in found] == [
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
    assert label_order([film("osteoporosis"), film("normal")]) == ("normal", "osteoporosis")
    assert label_order([film("10"), film("0"), film("2")]) == ("0", "2", "10")
    with pytest.raises(DataError, match="found only normal"):
        label_order([film("normal")])


def test_pictures_come_prepared_and_bad_ones_are_named(folder, quiet):
    table = write(folder, "file,label\na.png,normal\nb.png,osteopenia\n")
    spec = PreprocessSpec(height=64, width=48)
    pictures = load_pictures(read_films(table), spec, quiet)
    assert (pictures.shape, pictures.dtype) == ((2, 1, 64, 48), np.uint8)
    assert pictures[0, 0, 32].mean() == pytest.approx(150, abs=8)

    (folder / "b.png").write_bytes(b"%PDF-1.7")
    with pytest.raises(DataError, match=r"1 problem:\n  line 3: b\.png: found"):
        load_pictures(read_films(table), spec, quiet)
