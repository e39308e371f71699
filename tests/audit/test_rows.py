from pathlib import Path

import pytest
from support.audit import film, save

from osteolens.audit.data_set import read_data_set
from osteolens.audit.rows import DataSet, Naming
from osteolens.errors import DataError


def table(folder: Path, text: str) -> Path:
    path = folder / "films.csv"
    path.write_text(text)
    return path


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def facts_of(data_set: DataSet) -> list[tuple[str, tuple[str, ...], str, str]]:
    return [(row.file, row.labels, row.group, row.part) for row in data_set.rows]


def test_a_table_is_read_by_its_usual_columns(tmp_path: Path) -> None:
    path = table(tmp_path, "file,label,group,split,age\na.png,normal,p1,train,40\nb.png,normal|osteopenia,p2,,\n,,,,\n")
    data_set = read_data_set(path, Naming(part="rest"))
    assert facts_of(data_set) == [
        ("a.png", ("normal",), "p1", "train"),
        ("b.png", ("normal", "osteopenia"), "p2", "rest"),
    ]
    assert data_set.rows[0].values == {"age": "40"}
    assert data_set.rows[0].path == tmp_path / "a.png"
    assert [row.label for row in data_set.rows] == ["normal", ""]
    assert [row.place for row in data_set.rows] == ["line 2", "line 3"]


def test_columns_are_named_or_switched_off(tmp_path: Path) -> None:
    path = table(tmp_path, "file,diagnosis,patient,group,fold\na.png,ill,p1,x,3\n")
    assert facts_of(read_data_set(path, Naming("diagnosis", "patient", "fold"))) == [("a.png", ("ill",), "p1", "3")]
    assert facts_of(read_data_set(path, Naming("", "", ""))) == [("a.png", (), "", "")]


def test_one_folder_per_class(tmp_path: Path) -> None:
    data_set = read_data_set(pictures(tmp_path, "ill/b.JPG", "well/a.png", "well/notes.txt", ".hidden.png"), Naming())
    assert facts_of(data_set) == [("ill/b.JPG", ("ill",), "", ""), ("well/a.png", ("well",), "", "")]
    assert data_set.notes[-1] == (
        "Passed over: 1 hidden or system files and folders and 1 files that are no pictures by their names (.txt)."
    )


def test_parts_with_one_folder_per_class(tmp_path: Path) -> None:
    data_set = read_data_set(
        pictures(tmp_path, "train/0/9001L.png", "val/4/9001R.png"), Naming(group_pattern=r"(\d+)[LR]")
    )
    assert facts_of(data_set) == [
        ("train/0/9001L.png", ("0",), "9001", "train"),
        ("val/4/9001R.png", ("4",), "9001", "val"),
    ]


def test_parts_without_classes_and_flat_folders(tmp_path: Path) -> None:
    assert facts_of(read_data_set(pictures(tmp_path / "a", "train/1.png", "test/2.png"), Naming())) == [
        ("test/2.png", (), "", "test"),
        ("train/1.png", (), "", "train"),
    ]
    assert facts_of(read_data_set(pictures(tmp_path / "b", "1.png"), Naming(part="test"))) == [
        ("1.png", (), "", "test")
    ]


def test_names_that_do_not_fit_the_pattern_are_counted(tmp_path: Path) -> None:
    data_set = read_data_set(pictures(tmp_path, "12L.png", "x.png"), Naming(group_pattern=r"(\d+)"))
    assert [row.group for row in data_set.rows] == ["12", ""]
    assert r"Groups: from file names by (\d+); 1 names do not fit." in data_set.notes


@pytest.mark.parametrize(
    ("text", "naming", "message"),
    [
        ("", Naming(), "is empty; expected a table"),
        ("file,label\n", Naming(), "has no rows"),
        ("path,label\na,b\n", Naming(), "has no column 'file'; its columns are path, label"),
        ("file,kind\na,b\n", Naming(), "has no column 'label'; name the labels' column with --label-column"),
        ("file,kind\na,b\n", Naming(options="--compare-"), "with --compare-label-column"),
        ("file,label\na,b\n", Naming(group="patient"), "has no column 'patient' for --group-column"),
        ("file,label\na,b\n", Naming(split="fold"), "has no column 'fold' for --split-column"),
        ("file,label\na,b\n", Naming(group_pattern="("), "is not a regular expression"),
        ("file,label\na,b\n", Naming(group_pattern="a"), "has no brackets"),
        ("file,label\na,b\n", Naming(group_pattern="(x)"), "fits no file name, such as a"),
    ],
)
def test_a_wrong_table_is_one_clear_error(text: str, naming: Naming, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_data_set(table(tmp_path, text), naming)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_things_than_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no table or folder"):
        read_data_set(tmp_path / "absent.csv", Naming())
    with pytest.raises(DataError, match="is not text"):
        read_data_set(save(tmp_path / "a.png", film(0)), Naming())
    with pytest.raises(DataError, match="holds no pictures"):
        read_data_set(pictures(tmp_path / "empty", "a.txt"), Naming())
    with pytest.raises(DataError, match=r"--group-column patient is for tables.*use --group-pattern"):
        read_data_set(pictures(tmp_path / "b", "a.png"), Naming(group="patient"))
