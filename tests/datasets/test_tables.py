"""One reader of tables: encodings, delimiters, workbooks, Parquet, and rows that do not fit."""

import os
import unicodedata
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from osteolens.datasets.names import find_file
from osteolens.datasets.tables import open_table
from osteolens.errors import DataError

ROWS = [["file", "label", "note"], ["a.png", "normal", "Größe"], ["b.png", "ill", "x"]]


def cells(path: Path) -> list[dict[str, str]]:
    return [row.cells for row in open_table(path)]


def text(rows: list[list[str]], delimiter: str = ",", end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in rows)


EXPECTED = [dict(zip(ROWS[0], row, strict=True)) for row in ROWS[1:]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_encoding_delimiter_and_end_of_line_reads_alike(tmp_path, encoding, delimiter, end):
    path = tmp_path / "films.csv"
    path.write_bytes(text(ROWS, delimiter, end).encode(encoding))
    assert cells(path) == EXPECTED
    assert open_table(path).decimal_comma == (delimiter != ",")
    assert [row.place for row in open_table(path)] == ["line 2", "line 3"]


def test_a_workbook_and_parquet_read_alike(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["readme"])
    sheet = book.create_sheet("Films")
    for row in ROWS:
        sheet.append(row)
    sheet["H9"].number_format = "0.0"
    book.save(tmp_path / "films.xlsx")
    parquet.write_table(pa.Table.from_pylist(EXPECTED), tmp_path / "films.parquet")
    assert cells(tmp_path / "films.xlsx") == cells(tmp_path / "films.parquet") == EXPECTED
    assert [row.place for row in open_table(tmp_path / "films.xlsx")] == ["row 2", "row 3"]


def test_numbers_of_workbooks_and_parquet_keep_their_names(tmp_path):
    """A column of ids with a gap is stored as floats: 1.0 is the patient that the other table calls 1."""
    columns = {"file": ["a.png", "b.png"], "group": [1.0, None], "t_score": [-1.5, -2.0]}
    parquet.write_table(pa.table(columns), tmp_path / "films.parquet")
    book = openpyxl.Workbook()
    book.active.append(list(columns))
    for row in zip(*columns.values(), strict=True):
        book.active.append(list(row))
    book.save(tmp_path / "films.xlsx")
    expected = [
        {"file": "a.png", "group": "1", "t_score": "-1.5"},
        {"file": "b.png", "group": "", "t_score": "-2"},
    ]
    assert cells(tmp_path / "films.parquet") == cells(tmp_path / "films.xlsx") == expected


def test_two_sheets_that_could_be_the_table_are_refused(tmp_path):
    book = openpyxl.Workbook()
    book.active.title = "First"
    book.create_sheet("Second")
    for sheet in book.worksheets:
        sheet.append(["file", "label"])
    book.save(tmp_path / "films.xlsx")
    with pytest.raises(DataError, match="several sheets with a column 'file': First, Second"):
        open_table(tmp_path / "films.xlsx")


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ("sep=;\nfile;a,b\n1.png;x\n", ("file", "a,b")),
        ("file;size, cm;width, cm;depth, cm\n1.png;1;2;3\n", ("file", "size, cm", "width, cm", "depth, cm")),
        ("name,file;old\nx,1.png\n", ("name", "file;old")),
        ("\n\n file , label \n1.png,x\n", ("file", "label")),
        ("file,label,,\n1.png,x,,\n", ("file", "label", "", "")),
        ("file\n1.png\n", ("file",)),
    ],
)
def test_the_first_line_decides_on_the_columns(tmp_path, content, header):
    path = tmp_path / "films.csv"
    path.write_text(content)
    assert open_table(path).header == header
    assert [row.cells["file"] if "file" in row.cells else row.cells["name"] for row in open_table(path)]


def test_rows_without_anything_are_passed_over_and_the_lines_still_count(tmp_path):
    (tmp_path / "films.csv").write_text("file;age\n;\na.png;5\n\n ; \nb.png;6\n;\n")
    rows = [(row.place, row.cells["file"]) for row in open_table(tmp_path / "films.csv")]
    assert rows == [("line 3", "a.png"), ("line 6", "b.png")]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a.png,p1,-1,5,44,female", "6 cells, but the first line has 5; write decimals with a point"),
        ("a.png,p1,-1,5,44,", "6 cells, but the first line has 5"),
    ],
)
def test_a_decimal_comma_never_shifts_the_columns(tmp_path, row, problem):
    path = tmp_path / "films.csv"
    path.write_text(f"file,group,t_score,age,sex\n{row}\nb.png,p2,-1.0,50,male\n")
    first, second = open_table(path)
    assert problem in first.problem
    assert first.cells == {}
    assert second.cells["t_score"] == "-1.0"


def test_a_shift_into_a_column_without_a_name_is_seen(tmp_path):
    (tmp_path / "films.csv").write_text("file,t_score,age,\na.png,-1,5,44\nb.png,-1.5,44,\n")
    first, second = open_table(tmp_path / "films.csv")
    assert first.problem.startswith("'44' is in a column without a name")
    assert second.cells == {"file": "b.png", "t_score": "-1.5", "age": "44"}


def test_the_first_column_may_be_without_a_name(tmp_path):
    """As pandas writes its index."""
    (tmp_path / "films.csv").write_text(",file,age\n0,a.png,5\n1,b.png,6\n")
    assert cells(tmp_path / "films.csv") == [{"file": "a.png", "age": "5"}, {"file": "b.png", "age": "6"}]


def test_cells_that_are_left_out_at_the_end_are_empty_but_a_cut_file_is_refused(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text("file,label,age\na.png,normal\nb.png,normal,6\n")
    assert [row.cells["age"] for row in open_table(path)] == ["", "6"]
    path.write_text("file,label,age\na.png,normal,5\nb.png,nor")
    with pytest.raises(DataError, match=r"line 3 .* may have been cut off"):
        cells(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,age,Age\na,1,2\n", "several columns age"),
        (b"file,age, age\na,1,2\n", "several columns age"),
        (b'file,age\n"a.png,5\nb.png,6\n', "is a quote not closed"),
        (b"file,a\0b\n1,2\n", "is not text"),
        (b"\xd0\xcf\x11\xe0old", "save it as .xlsx or CSV"),
        (b"PK\3\4damaged", "is not an Excel workbook"),
        (b"PAR1damaged", "is not a Parquet table"),
    ],
)
def test_what_is_no_table_is_one_clear_line(tmp_path, content, message):
    path = tmp_path / "films.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        cells(path)
    assert "films.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_names_of_files_are_found_in_either_form(tmp_path, on_disk, in_table):
    name = "Größe é.png"
    path = tmp_path / unicodedata.normalize(on_disk, name)
    path.write_bytes(b"film")
    assert tmp_path / find_file(str(tmp_path), unicodedata.normalize(in_table, name)) == path


def test_names_of_files_with_bytes_of_the_table_spaces_or_backslashes(tmp_path):
    raw = os.fsdecode(b"knie\xfc\x81.png")
    for name in (raw, " spaced.png", "a.png"):
        (tmp_path / name).write_bytes(b"film")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.png").write_bytes(b"film")
    (tmp_path / "films.csv").write_bytes(b"file\nknie\xfc\x81.png\n spaced.png\n a.png \nsub\\b.png\nabsent.png \n")
    table = open_table(tmp_path / "films.csv")
    rows = [find_file(str(tmp_path), row.raw["file"], table.encoding) for row in table]
    assert rows == [raw, " spaced.png", "a.png", "sub/b.png", "absent.png"]
