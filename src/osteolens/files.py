"""Files written whole or not at all, and texts that may not be valid Unicode."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from typing import IO, Any

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[-+]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][-+]?[0-9]+)?")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A draft beside `path` that takes its place when the block ends, and is deleted when the block fails.

    A reader sees the old file or the new one, never a part: the draft reaches the disk before it is renamed, so this
    holds after a power cut too. It has the suffix of `path`, by which libraries choose a format.
    """
    # With the thread's number, as two threads may write the same overlay at the same time.
    draft = path.with_name(f".draft-{os.getpid()}-{get_ident()}-{path.name}")
    try:
        yield draft
        with draft.open("rb+") as stream:
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A draft folder beside `path` that takes its place when the block ends, and is deleted when the block fails.

    One writer at a time. Folders cannot be exchanged in one step: a kill between the two renames leaves nothing at
    `path`, never a mixture, and the next call deletes what it left.
    """
    draft, old = (path.with_name(f".{kind}-{path.name}") for kind in ("draft", "old"))
    delete(draft)
    try:
        draft.mkdir()
        yield draft
        for file in draft.iterdir():
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())
        delete(old)
        if path.exists():
            path.rename(old)
        draft.rename(path)
        delete(old)
    finally:
        delete(draft)


def delete(path: Path) -> None:
    """Delete a file or a folder with all that is in it; nothing happens if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with line feeds, whole or not at all; invalid text is written as by `as_text`."""
    with whole(path) as draft:
        draft.write_text(as_text(text), encoding="utf-8", newline="\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with whole(path) as draft:
        draft.write_bytes(content)


def lock(path: Path) -> IO[bytes]:
    """Keep other processes out until the file that is returned is closed, or this process ends in any way.

    Raises:
        BlockingIOError: Another process is in.
    """
    held = path.open("ab")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise
    return held


def as_text(text: str) -> str:
    r"""The same as valid text: a file name's bytes that are not UTF-8 become a backslash, x and two digits.

    Half of a surrogate pair, which JSON can hold and UTF-8 cannot, becomes `\u` and four digits.
    """
    if text.isascii():  # nearly every text; a batch writes some 40 of them for each film
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def harmless(cell: Any) -> Any:
    """A cell for a spreadsheet: a text that would be run as a formula gets an apostrophe in front, a number never."""
    if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
