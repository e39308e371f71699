"""Folders of films: which files count, one rule for training, audit and batches.

Passed over are hidden files and folders (such as .ipynb_checkpoints, .DS_Store and ._x.png) and what operating systems
and disk stations leave behind (`IGNORED`). Folders behind links are read as if they lay there; a link to a folder that
it is in is not followed.
"""

# A Path would change names such as ./films and //films, and takes ten times as long.
# ruff: noqa: PTH116
import os
from collections import Counter
from collections.abc import Iterator

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom")
FILM_SUFFIXES = frozenset({*PICTURE_SUFFIXES, ""})
"""Files of a folder that a server is asked about; DICOM files often have no suffix."""

IGNORED = frozenset(
    {
        "@eadir", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin",
        "system volume information", "#recycle", "@recycle", "lost+found",
    }
)  # fmt: skip
"""In lower case."""
HIDDEN = "hidden or system"
"""What is counted of them, beside the suffixes of other files that are no films."""


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name is passed over."""
    return name.startswith(".") or name.casefold() in IGNORED


def files_below(top: str, passed_over: Counter[str], apart_from: str = "") -> Iterator[tuple[str, OSError | None]]:
    """Path of each file of a folder and of all folders below it, in no order; one that cannot be listed with its error.

    Args:
        top: The folder.
        passed_over: Counts what is ignored, under `HIDDEN`.
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
    """What was passed over, in one sentence; nothing if nothing was."""
    hidden = passed_over[HIDDEN]
    others = {suffix or "no suffix": count for suffix, count in passed_over.items() if suffix != HIDDEN}
    parts = [f"{hidden} hidden or system files and folders"] if hidden else []
    if others:
        suffixes = ", ".join(sorted(others))
        parts.append(f"{sum(others.values())} files that are no pictures by their names ({suffixes})")
    return f"Passed over: {' and '.join(parts)}." if parts else ""
