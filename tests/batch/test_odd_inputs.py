"""Tables, lists and names that were misread, lost or ended a batch; and journals that are damaged."""

import csv
import io
import json
import os
import sqlite3
import unicodedata
from pathlib import Path

import openpyxl
import pytest

from osteolens import batch
from osteolens.batch.films import Sources
from osteolens.batch.journal import Journal
from osteolens.errors import BatchError

from .fake_server import FakeServer, Response
from .helpers import check_rows, make_films, results

OUT = Path("out")


def run(server: FakeServer, *inputs: str, **options: object) -> batch.Summary:
    return batch.run(inputs or ["films"], OUT, server=server.url, progress="quiet", **options)  # type: ignore[arg-type]


def films_of(content: str | bytes, name: str = "t.csv") -> list[tuple[str, str, dict[str, str], dict[str, str]]]:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(film.file, film.id, dict(film.facts), dict(film.carried)) for film in Sources([name], OUT)]


FACTS = {"age": "63.5", "sex": "female"}


@pytest.mark.parametrize(
    "content",
    [
        "file, age, sex, Ward\na.png, 63.5, F, x\n",
        "File,AGE,Sex ,Ward\na.png,63.5,female,x\n",
        "file;age;sex;Ward\r\na.png;63,5;weiblich;x\r\n;;;\r\n",
        "sep=;\nfile;age;sex;Ward\na.png;63,5;W;x\n",
        "file\tage\tsex\tWard\na.png\t63,5\tf\tx\n",
        "file,age,sex,Ward\na.png,63.5,Frau,x\n".encode("utf-16"),
    ],
)
def test_facts_are_never_dropped(content: str | bytes) -> None:
    assert films_of(content) == [("a.png", "", FACTS, {"Ward": "x"})]


def test_a_workbook_is_a_table() -> None:
    book = openpyxl.Workbook()
    for row in (["File", "id", "age", "sex", "Ward"], ["a.png", 7.0, 63.5, "F", "x"], [None] * 5):
        book.active.append(row)
    book.save("t.xlsx")
    [film] = Sources(["t.xlsx"], OUT)
    assert (film.file, film.id, dict(film.facts), dict(film.carried)) == ("a.png", "7", FACTS, {"Ward": "x"})


@pytest.mark.parametrize(("column", "meant"), [("gender", "sex"), ("weight", "weight_kg"), ("Alter", "age")])
def test_a_fact_under_another_name_is_refused(column: str, meant: str) -> None:
    with pytest.raises(BatchError, match=f"'{column}' of t.csv looks like '{meant}'"):
        films_of(f"file,{column}\na.png,1\n")


def test_what_cannot_be_read_is_refused_with_its_row(server: FakeServer) -> None:
    make_films(Path("films"), 3)
    Path("t.csv").write_text('file,age,sex\nfilms/000.png,"63,5",F\nfilms/001.png,63,0\nfilms/002.png,63,m\n')
    run(server, "t.csv")
    rows = {row["file"]: row for row in results(OUT)}
    assert [rows[f"films/00{number}.png"]["status"] for number in range(3)] == ["refused", "refused", "answered"]
    assert "age is '63,5'" in rows["films/000.png"]["error_message"]
    assert "sex is '0'" in rows["films/001.png"]["error_message"]
    assert rows["films/002.png"]["sex"] == "male"


def test_a_row_that_does_not_fit_stops_the_batch_with_its_line() -> None:
    with pytest.raises(BatchError, match=r"line 2 of t.csv has 4 cells, but the first line has 3"):
        films_of("file,age,sex\na.png,63,5,F\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_of_paths_from_other_systems(encoding: str, end: str) -> None:
    names = ["a.png", "knie ü.png", unicodedata.normalize("NFD", "fuß é.png")]
    for name in names:
        Path(unicodedata.normalize("NFC", name)).write_bytes(b"film")
    stream = io.BytesIO((end.join([*names, ""]) + end).encode(encoding))
    films = list(Sources(["-"], OUT, stdin=stream))
    assert [film.file for film in films] == [unicodedata.normalize("NFC", name) for name in names]
    assert all(film.problem is None for film in films)


def test_system_files_are_no_films_and_linked_folders_are_read() -> None:
    for name in ("f/a.png", "f/@eaDir/a.png", "f/__MACOSX/._a.png", "f/.ipynb_checkpoints/a.png", "store/b.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"film")
    Path("f/linked").symlink_to(Path("store").absolute())
    Path("store/up").symlink_to(Path("store").absolute())
    assert sorted(film.file for film in Sources(["f"], OUT)) == ["f/a.png", "f/linked/b.png"]


def test_what_was_passed_over_is_said_once(server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    make_films(Path("films"), 1)
    Path("films/Thumbs.db").write_bytes(b"x")
    batch.run(["films"], OUT, server=server.url, progress="json")
    notes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    messages = [line["message"] for line in notes if line["event"] == "note"]
    assert messages == ["Passed over: 1 hidden or system files and folders."]
    assert json.loads((OUT / "run.json").read_text())["passed_over"] == {"hidden or system": 1}


def test_names_and_messages_that_are_not_text_end_nothing(server: FakeServer) -> None:
    folder = Path(os.fsdecode(b"films\xff"))
    films = make_films(folder, 3)
    Path(folder / "t.csv").write_text("file,age,id\n,63,\n000.png,50,x\nabsent.png,,\n")
    surrogate = json.dumps({"schema": 1, "error": {"code": "odd", "message": "found \ud83d", "hint": ""}}).encode()
    server.fault = lambda number, film, response: Response(422, surrogate) if film == b"film 1" else None
    for _ in range(2):
        run(server, str(folder), str(folder / "t.csv"), str(folder / "00*.png"))
    rows = {(row["file"], row["age"]): row for row in results(OUT)}
    assert len(rows) == len(films) + 3
    assert rows[r"films\xff/001.png", None]["status"] == "failed"
    assert rows[r"films\xff/000.png", None]["status"] == "answered"
    assert rows["absent.png", None]["error_code"] == "file_not_found"
    page = (OUT / "report.html").read_text(encoding="utf-8")
    assert r"films\xff/t.csv names no file" in page
    assert not list(OUT.glob(".*draft*"))


def test_a_table_in_bytes_that_are_not_utf8_finds_its_films(server: FakeServer) -> None:
    raw = os.fsdecode(b"knie\xfc.png")
    Path(raw).write_bytes(b"film x")
    Path("bär.png").write_bytes(b"film y")
    Path("t.csv").write_bytes("file,id\nknieü.png,ö1\nbär.png,2\n".encode("cp1252"))
    run(server, "t.csv")
    assert [(row["file"], row["path"].rpartition("/")[2], row["id"], row["status"]) for row in results(OUT)] == [
        ("bär.png", "bär.png", "2", "answered"),
        ("knieü.png", r"knie\xfc.png", "ö1", "answered"),
    ]


def test_a_spreadsheet_runs_nothing_and_numbers_stay_numbers(server: FakeServer) -> None:
    Path("=cmd.png").write_bytes(b"film")
    cells = ["=1+1", "+A1", "-A1", "@SUM(A1)", "-1.5", "+3", "-1e-5", "- a", "text"]
    with Path("t.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "=head", *(f"c{number}" for number in range(len(cells)))])
        writer.writerow(["=cmd.png", "x", *cells])
    run(server, "t.csv")
    with (OUT / "results.csv").open(newline="") as stream:
        [row] = csv.DictReader(stream)
    expected = ["'=1+1", "'+A1", "'-A1", "'@SUM(A1)", "-1.5", "+3", "-1e-5", "'- a", "text"]
    assert [row[f"c{number}"] for number in range(len(cells))] == expected
    assert (row["file"], row["'=head"], row["t_score"]) == ("'=cmd.png", "x", "-1.5")
    assert results(OUT)[0]["c0"] == "=1+1"  # Parquet is no spreadsheet


DAMAGES = {
    "not a database": lambda path: path.write_bytes(b"x" * 5000),
    "a torn page": lambda path: path.write_bytes(path.read_bytes()[:6000] + b"\xff" * 20000),
    "no tables": lambda path: _execute(path, "DROP TABLE calls"),
    "no JSON": lambda path: _execute(path, "UPDATE identity SET value = '[' WHERE name = 'models'"),
    "facts that are no JSON": lambda path: _execute(path, "UPDATE rows SET facts = '{', status = 'failed'"),
}


def _execute(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_journal_names_the_way_out_that_works(server: FakeServer, name: str) -> None:
    films = make_films(Path("films"))
    run(server)
    DAMAGES[name](OUT / "progress.sqlite")
    with pytest.raises(BatchError, match=r"progress.sqlite is damaged: .*; --fresh starts again in this folder"):
        run(server)
    run(server, fresh=True)
    check_rows(OUT, films)


def test_a_folder_of_an_earlier_version_goes_on(server: FakeServer) -> None:
    """Ages of Parquet tables were 63.0, and are 63 now: the same fact, so nothing is asked again."""
    make_films(Path("films"), 1)
    Path("t.csv").write_text("file,age,sex\nfilms/000.png,63.0,female\n")
    run(server, "t.csv")
    Path("t.csv").write_text("file,age,sex\nfilms/000.png,63,F\n")
    assert run(server, "t.csv").answers == 0
    with Journal(OUT, {"models": ["efficientnet"], "explain": "none", "overlays": "none"}) as journal:
        assert journal.counts() == {("efficientnet", "answered"): 1}
