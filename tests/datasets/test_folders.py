import os
from collections import Counter
from pathlib import Path

from osteolens.datasets.folders import HIDDEN, describe, files_below


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"film")


def below(folder: Path) -> tuple[list[str], Counter[str]]:
    passed_over: Counter[str] = Counter()
    files = sorted(os.path.relpath(path, folder) for path, _ in files_below(str(folder), passed_over))
    return files, passed_over


def test_what_systems_leave_behind_is_passed_over_and_counted(tmp_path):
    make(
        tmp_path,
        "ill/1.png", "ill/._1.png", "ill/.DS_Store", "ill/Thumbs.db", "ill/DESKTOP.INI", "ill/@eaDir/1.png/thumb.jpg",
        "__MACOSX/ill/1.png", ".ipynb_checkpoints/1-checkpoint.png", "well/.ipynb_checkpoints/2.png", "well/2.png",
    )  # fmt: skip
    files, passed_over = below(tmp_path)
    assert files == ["ill/1.png", "well/2.png"]
    assert passed_over == {HIDDEN: 8}
    assert describe(passed_over) == "Passed over: 8 hidden or system files and folders."
    assert describe(Counter()) == ""


def test_linked_folders_are_read_and_links_in_a_circle_end(tmp_path):
    make(tmp_path / "store", "1.png", "deep/2.png")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "ill").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "deep" / "up").symlink_to(tmp_path / "store")
    (tmp_path / "films" / "self").symlink_to("self")
    assert below(tmp_path / "films")[0] == ["ill/1.png", "ill/deep/2.png", "self"]
