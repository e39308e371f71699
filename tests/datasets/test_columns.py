from pathlib import Path

import pytest

from osteolens.datasets.columns import find_columns
from osteolens.datasets.tables import open_table
from osteolens.errors import DataError

KNOWN = ("file", "label", "group", "t_score", "age", "sex", "weight_kg", "height_m", "source")


def columns(folder: Path, header: str):
    path = folder / "films.csv"
    path.write_text(header + "\n" + ",".join("x" * len(header.split(","))) + "\n")
    table = open_table(path)
    return find_columns(table, KNOWN), next(iter(table))


@pytest.mark.parametrize("name", ["group", " group", "Group", "GROUP "])
def test_a_name_is_known_whatever_its_case_and_spaces(tmp_path, name):
    known, row = columns(tmp_path, f"File,{name}")
    assert known.known(row) == {"file": "x", "group": "x"}
    assert known.others == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("patient_id", "group"), ("PatientID", "group"), ("Patient ID", "group"), ("patient", "group"),
        ("pid", "group"), ("person", "group"), ("groups", "group"), ("goup", "group"), ("tscore", "t_score"),
        ("T-Score", "t_score"), ("t_scores", "t_score"), ("Gender", "sex"), ("Geschlecht", "sex"), ("Alter", "age"),
        ("age_years", "age"), ("weight", "weight_kg"), ("height_cm", "height_m"), ("height", "height_m"),
    ],
)  # fmt: skip
def test_a_column_that_looks_like_a_known_one_is_refused(tmp_path, name, meant):
    with pytest.raises(DataError, match=f"looks like '{meant}'.*rename it to {meant}"):
        columns(tmp_path, f"file,{name}")


def test_what_looks_like_a_column_that_is_there_is_only_another_one(tmp_path):
    known, _ = columns(tmp_path, "file,film,group,person,age,alter,width,height,z_score,source_ids,page,wage")
    assert known.others == ("film", "person", "alter", "width", "height", "z_score", "source_ids", "page", "wage")


def test_a_missing_column_names_what_could_be_it(tmp_path):
    with pytest.raises(DataError, match=r"no column 'file'; its columns are filename, age; rename 'filename' to file"):
        columns(tmp_path, "filename,age")
