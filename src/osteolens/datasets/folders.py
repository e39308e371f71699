"""Folders of films: which files count, by one rule for training, audit and batches.

Hidden files and folders (such as .ipynb_checkpoints, .DS_Store and ._x.png) are passed over, and so are files of
operating systems and disk stations (`IGNORED`). Links to folders are followed, but not to a folder that holds the link.
"""

# A Path would change names such as ./films and //films, and takes ten times as long.
# ruff: noqa: PTH116
import os
from collections import Counter
from collections.abc import Iterator

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom")
FILM_SUFFIXES = frozenset({*PICTURE_SUFFIXES, ""})
"""Suffixes of files that are sent to a server; DICOM files often have none."""

IGNORED = frozenset(
    {
        "@eadir", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin",
        "system volume information", "#recycle", "@recycle", "lost+found",
    }
)  # fmt: skip
"""Names of ignored files and folders, in lower case."""
HIDDEN = "hidden or system"
"""Key under which ignored files are counted, beside the suffixes of files that are no films."""


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name is passed over."""
    return name.startswith(".") or name.casefold() in IGNORED


def files_below(top: str, passed_over: Counter[str], apart_from: str = "") -> Iterator[tuple[str, OSError | None]]:
    """Path of each file in a folder and below it, in no order; or of a folder that cannot be listed, with the error.

    Args:
        top: The folder.
        passed_over: Counts ignored files and folders, under `HIDDEN`.
        apart_from: The real path of a folder to leave out.
    """
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [(top, frozenset())]
    while pending:
        folder, above = pending.pop()
        try:
            about = os.stat(folder)
            identity = (about.st_dev, about.st_ino)
            if identity in above or (apart_from and folder != top and os.path.realpath(folder) == apart_from):
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_ignored(entry.name):
                        passed_over[HIDDEN] += 1
                    elif _is_folder(entry):
                        pending.append((entry.path, above | {identity}))
                    else:
                        yield entry.path, None
        except OSError as error:
            yield folder, error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def describe(passed_over: Counter[str]) -> str:
    """Sentence on the files that were passed over; empty if there were none."""
    hidden = passed_over[HIDDEN]
    others = {suffix or "no suffix": count for suffix, count in passed_over.items() if suffix != HIDDEN}
    parts = [f"{hidden} hidden or system files and folders"] if hidden else []
    if others:
        suffixes = ", ".join(sorted(others))
        parts.append(f"{sum(others.values())} files that are no pictures by their names ({suffixes})")
    return f"Passed over: {' and '.join(parts)}." if parts else ""
