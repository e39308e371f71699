"""A file is there whole, or as it was before."""

from pathlib import Path

import pytest

from osteolens.files import whole, write_bytes, write_text


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


def test_text_is_utf_8_with_line_feeds(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Östeopenie\n")
    assert (tmp_path / "a.txt").read_bytes() == "Östeopenie\n".encode()
    write_bytes(tmp_path / "a.txt", b"\x00\r\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\x00\r\n"
