"""A file is there whole, or as it was before."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from osteolens.files import as_text, harmless, whole, whole_folder, write_bytes, write_text


def test_a_new_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    with whole(path) as draft:
        draft.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text("old")

    def fail(draft: Path) -> None:
        draft.write_text("ne")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"), whole(path) as draft:
        fail(draft)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_threads_may_write_the_same_file(tmp_path: Path) -> None:
    path, contents = tmp_path / "overlay.jpg", [bytes([number]) * 10_000 for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda content: write_bytes(path, content), contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", ["nothing", "file", "folder"])
def test_a_folder_takes_the_place_of_what_was_there(tmp_path: Path, before: str) -> None:
    path = tmp_path / "results"
    if before == "folder":
        path.mkdir()
        (path / "old").touch()
    elif before == "file":
        path.touch()
    with whole_folder(path) as draft:
        (draft / "new").write_text("new")
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_folder_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.mkdir()
    (path / "old").touch()

    def fail(draft: Path) -> None:
        (draft / "new").touch()
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"), whole_folder(path) as draft:
        fail(draft)
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf_8_with_line_feeds(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Östeopenie\n")
    assert (tmp_path / "a.txt").read_bytes() == "Östeopenie\n".encode()
    write_bytes(tmp_path / "a.txt", b"\x00\r\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\x00\r\n"


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("Größe", "Größe"),
        (b"knie\xff.png".decode("utf-8", "surrogateescape"), r"knie\xff.png"),
        ("half \ud83d", r"half \ud83d"),
    ],
)
def test_what_is_no_valid_text_is_spelled_out(tmp_path: Path, text: str, valid: str) -> None:
    assert as_text(text) == valid
    write_text(tmp_path / "page.html", text)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == valid


@pytest.mark.parametrize("cell", ["=1+1", "+A1", "-A1", "@x", "\tx", "\r=1", "-", "--1", "-1 000", "+1+1"])
def test_a_formula_is_made_harmless(cell: str) -> None:
    assert harmless(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["-1", "+1.5", "-1,5", "-.5", "-1e-05", "+2E3", "a=1", "", None, -1.5, 3, True])
def test_numbers_and_other_texts_stay(cell: object) -> None:
    assert harmless(cell) is cell


TEMPORARY = {
    "src/osteolens/batch/answerers/ray/archive.py", "src/osteolens/batch/answerers/ray/remote.py",
    "src/osteolens/bench/measure.py", "src/osteolens/exporting/archive.py", "src/osteolens/exporting/torchscript.py",
    "src/osteolens/serving/properties.py",
}  # fmt: skip
"""Modules that also write files into temporary folders, or into a draft of `whole`."""


def test_results_are_written_whole_or_not_at_all() -> None:
    """A file under its own name is never half written: all writing goes through `osteolens.files`."""
    root = Path(__file__).parents[1]
    plain = re.compile(
        r"(?<!draft)\.(write_text|write_bytes|savefig)\((?!draft|buffer)|os\.replace\(|save_file\(.+, path"
    )
    wrong = [
        f"{name}: {line.strip()}"
        for folder in ("src/osteolens", "export", "train")
        for path in sorted((root / folder).rglob("*.py"))
        if (name := path.relative_to(root).as_posix()) not in {"src/osteolens/files.py", *TEMPORARY}
        for line in path.read_text().splitlines()
        if plain.search(line)
    ]
    assert wrong == []


def test_a_draft_has_the_suffix_of_its_file(tmp_path: Path) -> None:
    with whole(tmp_path / "chart.png") as draft:
        draft.touch()
        assert draft.suffix == ".png"
        assert draft.name.startswith(".")
