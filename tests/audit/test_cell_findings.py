"""Findings about the cells of a table."""

from pathlib import Path

import numpy as np
import pytest

from osteolens.audit.cell_findings import cell_findings
from osteolens.audit.data_set import read_data_set
from osteolens.audit.findings import Collection, Finding
from osteolens.audit.rows import Naming
from osteolens.errors import DataError


def findings(folder: Path, text: str) -> dict[str, Finding]:
    path = folder / "films.csv"
    path.write_text(text)
    data = read_data_set(path, Naming())
    collection = Collection(data, None, data.rows, {}, {}, (), np.arange(len(data.rows)))
    return {finding.kind: finding for finding in cell_findings(collection)}


def test_a_table_without_faults_has_no_findings(tmp_path):
    assert findings(tmp_path, "file,label,t_score,age,sex\na.png,normal,-1.0,60,F\nb.png,Osteopenia,-1.1,,\n") == {}


def test_t_scores_that_contradict_their_labels(tmp_path):
    text = (
        "file,label,t_score\na,normal,-1.0\nb,normal,-1.01\nc,osteopenia,-2.5\nd,osteoporosis,-2.5\n"
        "e,severe osteoporosis,-3\nf,osteoporosis,\ng,severe osteoporosis,-2.4\n"
    )
    finding = findings(tmp_path, text)["t-score-against-label"]
    assert (finding.severity, finding.count, finding.numbers) == ("fault", 3, (1, 2, 6))
    assert finding.lines == (
        "line 3, b: labelled normal, but a T-score of -1.01 is osteopenia",
        "line 4, c: labelled osteopenia, but a T-score of -2.5 is osteoporosis",
        "line 8, g: labelled severe osteoporosis, but a T-score of -2.4 is osteopenia",
    )


def test_values_that_cannot_be_read(tmp_path):
    text = 'file,label,t_score,age,sex,weight\na,normal,"-0,5",60,F,70\nb,normal,-0.5,600,1,70\n'
    both = findings(tmp_path, text)
    columns, values = both["column-look-alike"], both["unreadable-values"]
    assert columns.lines == ("the column 'weight' looks like 'weight_kg', and is not read as it",)
    assert (columns.severity, values.severity, values.count) == ("warning", "fault", 3)
    assert values.lines[0].startswith("line 2: t_score is '-0,5', which is not a number such as -1.5; a decimal comma")
    assert values.lines[1] == "line 3: age is 600, expected 0 to 130, such as 63"
    assert values.lines[2].startswith("line 3: sex is '1', which can mean either")


def test_a_semicolon_table_has_decimal_commas(tmp_path):
    by_kind = findings(tmp_path, "file;label;t_score;bmi;sex\na;osteoporosis;-0,5;23,5;W\n")
    assert by_kind["t-score-against-label"].count == 1
    assert "unreadable-values" not in by_kind
    [row] = read_data_set(tmp_path / "films.csv", Naming()).rows
    assert row.values == {"t_score": "-0.5", "bmi": "23.5", "sex": "female"}


@pytest.mark.parametrize(
    ("labels", "lines"),
    [
        (["normal"] * 9 + ["osteopena"], ["'osteopena' (1 picture): is 'osteopenia' meant?"]),
        (["Normal", "normal", "NORMAL"], []),
        (["mild"] * 9 + ["Mild"], ["'Mild' (1 picture): is 'mild' meant?"]),
        (["severe"] * 9 + ["sevre"], ["'sevre' (1 picture): is 'severe' meant?"]),
        (["severe"] * 3 + ["sevre"], []),
        (["grade 1"] * 9 + ["grade 2"], []),
        (["0"] * 9 + ["1"], []),
    ],
)
def test_labels_that_look_like_slips(tmp_path, labels, lines):
    text = "file,label\n" + "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels))
    finding = findings(tmp_path, text).get("label-typo")
    assert list(finding.lines if finding else []) == lines


def test_a_row_that_does_not_fit_ends_the_audit_with_its_line(tmp_path):
    with pytest.raises(DataError, match=r"line 2: 6 cells, but the first line has 5.*; and 1 more lines"):
        findings(tmp_path, "file,label,t_score,age,sex\na,normal,-0,5,60,F\nb,normal,-0,5,60,F\n")


def test_patients_under_another_name_are_asked_about(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text("file,label,PatientID\na,normal,p1\n")
    with pytest.raises(DataError, match=r"'PatientID' looks like it: give --group-column 'PatientID', or "):
        read_data_set(path, Naming())
    assert read_data_set(path, Naming(group="patientid")).rows[0].group == "p1"
    assert read_data_set(path, Naming(group="")).rows[0].group == ""
