import io
import os
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from osteolens.batch.films import Sources
from osteolens.datasets.folders import HIDDEN
from osteolens.errors import BatchError


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def film(name: str, content: bytes = b"film") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def named(*names: str, **options: object) -> list[str]:
    return sorted(film.file for film in Sources(names, Path("out"), **options))  # type: ignore[arg-type]


def test_a_folder_gives_the_films_below_it_and_counts_what_it_passes_over() -> None:
    for name in ("f/a.png", "f/b/c.JPG", "f/b/IM0001", "f/notes.txt", "f/Thumbs.db", "f/.hidden.png", "f/.git/x.png"):
        film(name)
    sources = Sources(["f"], Path("out"))
    assert sorted(film.file for film in sources) == ["f/a.png", "f/b/IM0001", "f/b/c.JPG"]
    assert sources.passed_over == {".txt": 1, HIDDEN: 3}
    assert sources.count() == 3
    assert sources.passed_over == {".txt": 1, HIDDEN: 3}


def test_the_output_folder_is_no_input() -> None:
    film("f/a.png")
    film("f/out/overlays/a.png")
    assert [film.file for film in Sources(["f"], Path("f/out"))] == ["f/a.png"]


def test_files_globs_and_names_with_anything_in_them() -> None:
    odd = ["f/with space.png", "f/line\nbreak.png", "f/膝蓋.png", "f/колено.png", "f/a[1].png", 'f/"q",.png']
    for name in odd:
        film(name)
    assert named("f/*.png") == sorted(odd)
    assert named("f/a[1].png") == ["f/a[1].png"]  # it is there, so it is no pattern
    assert named("f/**/*.png") == sorted(odd)


def test_a_name_that_is_not_text_is_found() -> None:
    raw = b"f/\xff\xfe.png"
    film("f/a.png")
    Path(os.fsdecode(raw)).write_bytes(b"film")
    keys = sorted(film.key[0] for film in Sources(["f"], Path("out")))
    assert keys == sorted([bytes(Path("f/a.png").absolute()), bytes(Path("f").absolute()) + raw[1:]])


def test_size_and_time_are_those_of_the_file() -> None:
    path = film("a.png", b"12345")
    os.utime(path, ns=(7, 1_000_000_007))
    (source,) = Sources(["a.png"], Path("out"))
    assert (source.size, source.mtime_ns, source.path) == (5, 1_000_000_007, str(path.absolute()))


def test_a_csv_gives_facts_ids_and_its_other_columns() -> None:
    film("t/films/a.png")
    film("t/b.png")
    text = '\ufefffile,age,sex,site,label,id\nfilms/a.png,63,female,Oslo,normal,x1\nb.png,,,"a, b",,\n'
    Path("t/table.csv").write_text(text, encoding="utf-8")
    first, second = Sources(["t/table.csv"], Path("out"))
    assert (first.file, first.id, first.path) == ("films/a.png", "x1", str(Path("t/films/a.png").absolute()))
    assert first.facts == {"age": "63", "sex": "female"}
    assert first.carried == {"site": "Oslo", "label": "normal"}
    assert (second.facts, second.carried) == ({}, {"site": "a, b", "label": ""})
    assert first.problem is second.problem is None


def test_a_parquet_table_says_the_same_as_a_csv() -> None:
    film("a.png")
    table = pa.table({"file": ["a.png", "absent.png"], "age": [63.5, None], "visit": [1, 2]})
    parquet.write_table(table, "table.parquet")
    first, second = Sources(["table.parquet"], Path("out"))
    assert (first.facts, first.carried) == ({"age": "63.5"}, {"visit": "1"})
    assert second.facts == {}
    assert second.problem is not None
    assert second.problem.code == "file_not_found"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,age\na.png,1\n", "no column 'file'; its columns are name, age"),
        ("", "no column 'file'; its columns are none"),
        ("file,age,age\na.png,1,2\n", "several columns age"),
        ("file,age\na.png,1,2\n", "line 2 of table.csv has 3 cells, but the first line has 2"),
    ],
)
def test_a_table_that_is_none_is_told(content: str, message: str) -> None:
    Path("table.csv").write_text(content)
    with pytest.raises(BatchError, match=message):
        list(Sources(["table.csv"], Path("out")))


def test_a_parquet_table_that_is_none_is_told() -> None:
    Path("table.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(BatchError, match=r"table.parquet is not a Parquet table"):
        list(Sources(["table.parquet"], Path("out")))


def test_a_row_without_a_file_is_a_row_with_a_problem() -> None:
    Path("table.csv").write_text("file,age\n,63\n,64\n")
    first, second = Sources(["table.csv"], Path("out"))
    assert first.problem is not None
    assert first.problem.message == "line 2 of table.csv names no file"
    assert first.key != second.key


@pytest.mark.parametrize("null", [False, True])
def test_standard_input_names_paths(null: bool) -> None:
    end = b"\0" if null else b"\n"
    names = ["a b.png", "ü.png", "c.png"] + (["line\nbreak.png"] if null else [])
    for name in names:
        film(name)
    stream = io.BytesIO(end.join(name.encode() for name in names) + end)
    sources = Sources(["-"], Path("out"), null, stream)
    assert [film.file for film in sources] == names
    assert sources.count() is None


def test_what_cannot_be_reached_is_an_input_with_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    film("f/a.png")
    film("f/locked/b.png")
    Path("f/gone.png").symlink_to("nowhere.png")
    os.mkfifo("f/pipe.png")
    scan = os.scandir

    def guarded(folder: str) -> object:
        if folder.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    problems = {film.file: film.problem and film.problem.code for film in Sources(["f"], Path("out"))}
    assert problems == {
        "f/a.png": None,
        "f/locked": "unreadable_folder",
        "f/gone.png": "file_not_found",
        "f/pipe.png": "unreadable_file",
    }


@pytest.mark.parametrize("names", [[], ["absent"], ["nothing/*.png"]])
def test_what_was_never_there_is_wrong_usage(names: list[str]) -> None:
    with pytest.raises(BatchError, match=r"for example"):
        Sources(names, Path("out"))
