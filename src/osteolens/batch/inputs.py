"""Finds the films of a batch, one after the other: nothing here holds a list of them.

A source is a file, a folder (with all folders below it), a glob, a CSV or Parquet table with a column `file`, or `-`
for paths on standard input. A film that cannot be reached is an input too, with its problem, so that it gets a row.
"""

# A Path would change names such as ./films and //films, and takes ten times as long.
# ruff: noqa: PTH100, PTH112, PTH116, PTH118, PTH120, PTH122, PTH207
import glob
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from osteolens.batch.errors import BatchError
from osteolens.batch.listings import FILE, ID, csv_rows, parquet_rows
from osteolens.batch.rows import as_text
from osteolens.card import PATIENT_FACTS
from osteolens.errors import InvalidOption
from osteolens.schema import parse_options

STANDARD_INPUT = "-"
CSV_SUFFIXES, PARQUET_SUFFIXES = (".csv",), (".parquet", ".pq")
FILM_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom", ""})
"""Files of a folder that are asked about; DICOM files often have no suffix."""

_STDIN_BLOCK = 1 << 16


@dataclass(frozen=True)
class Problem:
    """Why a film cannot be read.

    Attributes:
        code: One word, as in the errors of the HTTP contract.
        message: What was found.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Film:
    """A film to ask about.

    Attributes:
        path: Absolute.
        file: As it was named.
        id: The table's own name for it; empty elsewhere.
        facts: Of the patient: option name to text.
        carried: The table's other columns.
        size: Bytes.
        mtime_ns: When the file was last changed.
        problem: Why it cannot be read, if so.
    """

    path: str
    file: str
    id: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    carried: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    mtime_ns: int = 0
    problem: Problem | None = None

    @property
    def key(self) -> tuple[bytes, str]:
        """What makes it one input: the file, and the table's id where there is one."""
        return os.fsencode(self.path), self.id


@dataclass
class Sources:
    """The films of some sources; iterating finds them again each time (but standard input, which is read once).

    Args:
        names: The sources.
        out: Output folder: what lies there is no input.
        null: Paths on standard input end in a zero byte instead of a line's end.
        stdin: Standard input.
        passed_over: Files of folders that are no films by their suffix: suffix to number, counted by the latest pass.

    Raises:
        BatchError: No source at all, or one that is neither there nor a glob that finds something.
    """

    names: Sequence[str]
    out: Path
    null: bool = False
    stdin: BinaryIO = field(default_factory=lambda: sys.stdin.buffer)
    passed_over: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if not self.names:
            raise BatchError("there is nothing to ask about; give files, folders, a table or -, for example films/")
        for name in self.names:
            if name != STANDARD_INPUT and not os.path.lexists(name) and not _finds(name):
                raise BatchError(
                    f"{name!r} is neither a file, a folder nor a glob that finds any, for example 'films/*.png'"
                )

    def count(self) -> int | None:
        """The number of films as of now; None where they come on standard input."""
        if STANDARD_INPUT in self.names:
            return None
        uncounted = replace(self, passed_over=Counter())
        return sum(1 for name in self.names for _ in uncounted._films_of(name))

    def __iter__(self) -> Iterator[Film]:
        """All films, with their sizes and times.

        Raises:
            BatchError: A table has no column `file`, or is none.
        """
        self.passed_over.clear()
        for name in self.names:
            yield from map(looked_at, self._films_of(name))

    def _films_of(self, name: str) -> Iterator[Film]:
        if name == STANDARD_INPUT:
            return map(_named, _paths(self.stdin, b"\0" if self.null else b"\n"))
        if os.path.lexists(name):
            return self._films_at(name)
        return (film for match in glob.iglob(name, recursive=True) for film in self._films_at(match))

    def _films_at(self, path: str) -> Iterator[Film]:
        suffix = os.path.splitext(path)[1].lower()
        if os.path.isdir(path):
            return self._films_in(path)
        if suffix in CSV_SUFFIXES:
            return _listed(path, csv_rows(path))
        if suffix in PARQUET_SUFFIXES:
            return _listed(path, parquet_rows(path))
        return iter([_named(path)])

    def _films_in(self, top: str) -> Iterator[Film]:
        """All films below a folder; folders behind links are not followed."""
        out = os.path.realpath(self.out)
        pending = [top]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        suffix = os.path.splitext(entry.name)[1].lower()
                        if entry.name.startswith("."):
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            if os.path.realpath(entry.path) != out:
                                pending.append(entry.path)
                        elif suffix in FILM_SUFFIXES:
                            yield _named(entry.path)
                        else:
                            self.passed_over[suffix] += 1
            except OSError as error:
                message = f"the folder cannot be read: {error.strerror}"
                yield replace(_named(folder), problem=Problem("unreadable_folder", message))


def looked_at(film: Film) -> Film:
    """The same film with the file's size and time, or with the problem of a file that is not there."""
    if film.problem:
        return film
    try:
        found = os.stat(film.path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        return replace(film, problem=problem_of(error))
    if not stat.S_ISREG(found.st_mode):
        return replace(film, problem=Problem("unreadable_file", "it is not a file"))
    return replace(film, size=found.st_size, mtime_ns=found.st_mtime_ns)


def problem_of(error: OSError | ValueError) -> Problem:
    """The problem of a file that cannot be opened or read."""
    if isinstance(error, FileNotFoundError):
        return Problem("file_not_found", "there is no such file")
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return Problem("unreadable_file", f"the file cannot be read: {reason}")


def problem_of_facts(facts: Mapping[str, str]) -> Problem | None:
    """What is wrong with a patient's facts, as the server would say it: not every text can be sent as a header."""
    if not facts:
        return None
    try:
        parse_options(facts, ())
    except InvalidOption as error:
        return Problem(error.code, str(error))
    return None


def _finds(pattern: str) -> bool:
    return next(glob.iglob(pattern, recursive=True), None) is not None


def _named(path: str) -> Film:
    return Film(os.path.abspath(path), path)


def _paths(stream: BinaryIO, end: bytes) -> Iterator[str]:
    """The paths on standard input, each as soon as it is there."""
    rest = b""
    read = getattr(stream, "read1", stream.read)
    while block := read(_STDIN_BLOCK):
        *paths, rest = (rest + block).split(end)
        yield from (os.fsdecode(path) for path in paths if path)
    if rest:
        yield os.fsdecode(rest)


def _listed(table: str, rows: Iterator[tuple[int, dict[str, str]]]) -> Iterator[Film]:
    folder = os.path.dirname(table)
    for number, row in rows:
        file = row.get(FILE, "")
        if not file:
            problem = Problem("no_file", f"row {number} of {table} names no file")
            yield replace(_named(f"{table}, row {number}"), problem=problem)
            continue
        cells = {as_text(name): as_text(text) for name, text in row.items() if name != FILE}
        facts = {str(name): cells[name] for name in PATIENT_FACTS if cells.get(name, "").strip()}
        carried = {name: text for name, text in cells.items() if name not in (ID, *PATIENT_FACTS)}
        yield Film(os.path.abspath(os.path.join(folder, file)), file, cells.get(ID, ""), facts, carried)
