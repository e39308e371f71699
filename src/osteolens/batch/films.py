"""Finds the films of a batch, one after the other: nothing here holds a list of them.

A source is a file, a folder (with all folders below it), a glob, a table (`osteolens.datasets.tables`) with a column
`file`, or `-` for paths on standard input. A film that cannot be reached is an input too, with its problem, so that it
gets a row.
"""

# A Path would change names such as ./films and //films, and takes ten times as long.
# ruff: noqa: PTH100, PTH112, PTH116, PTH118, PTH120, PTH122, PTH207
import codecs
import glob
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from osteolens.datasets.columns import SEX, Columns, find_columns
from osteolens.datasets.folders import FILM_SUFFIXES, files_below
from osteolens.datasets.names import FILE, ID, find_file
from osteolens.datasets.tables import TABLE_SUFFIXES, Row, Table, open_table
from osteolens.datasets.values import plain_number, sex
from osteolens.errors import BatchError, DataError, InvalidOption, in_words
from osteolens.files import as_text
from osteolens.options import parse_options
from osteolens.parameters import PATIENT_FACTS

STANDARD_INPUT = "-"
_KNOWN: tuple[str, ...] = (FILE, ID, *PATIENT_FACTS)
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
    """An input of a batch.

    Attributes:
        path: Absolute.
        file: As it was named.
        id: The table's own name for it; empty elsewhere.
        facts: The patient's facts: option name to text.
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
        passed_over: Files of folders that are no films: suffix, or `osteolens.datasets.folders.HIDDEN`, to number,
            counted by the latest pass.

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
            if not self._is_there(name):
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

    def _is_there(self, name: str) -> bool:
        return name == STANDARD_INPUT or os.path.lexists(name) or _finds(name)

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
        if suffix in TABLE_SUFFIXES:
            return _listed(path)
        return iter([_named(path)])

    def _films_in(self, top: str) -> Iterator[Film]:
        """All films below a folder."""
        for path, error in files_below(top, self.passed_over, os.path.realpath(self.out)):
            suffix = os.path.splitext(path)[1].lower()
            if error:
                message = f"the folder cannot be read: {error.strerror}"
                yield replace(_named(path), problem=Problem("unreadable_folder", message))
            elif suffix in FILM_SUFFIXES:
                yield _named(path)
            else:
                self.passed_over[suffix] += 1


def looked_at(film: Film) -> Film:
    """The same film with the file's size and time, or with the problem of a file that is not there."""
    if film.problem:
        return film
    try:
        status = os.stat(film.path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        return replace(film, problem=problem_of(error))
    if not stat.S_ISREG(status.st_mode):
        return replace(film, problem=Problem("unreadable_file", "it is not a file"))
    return replace(film, size=status.st_size, mtime_ns=status.st_mtime_ns)


def problem_of(error: OSError | ValueError) -> Problem:
    """The problem of a file that cannot be opened or read."""
    if isinstance(error, FileNotFoundError):
        return Problem("file_not_found", in_words(error))
    return Problem("unreadable_file", f"the file cannot be read: {in_words(error)}")


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
    """The paths on standard input, each as soon as it is there; without byte order mark and the ends of lines."""
    read = getattr(stream, "read1", stream.read)
    block = read(_STDIN_BLOCK)
    if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        block = _from_utf16(block + stream.read())
    block, rest = block.removeprefix(codecs.BOM_UTF8), b""
    while block:
        *paths, rest = (rest + block).split(end)
        yield from (_listed_path(path, end) for path in paths if path.strip(b"\r"))
        block = read(_STDIN_BLOCK)
    if rest.strip(b"\r"):
        yield _listed_path(rest, end)


def _from_utf16(data: bytes) -> bytes:
    try:
        return data.decode("utf-16").encode()
    except UnicodeDecodeError as error:
        raise BatchError(f"the list of paths begins as UTF-16 and goes on otherwise: {error}") from error


def _listed_path(path: bytes, end: bytes) -> str:
    """A line may come from Windows (CR LF) or macOS (decomposed names); between zero bytes names are exact."""
    return find_file("", os.fsdecode(path)) if end == b"\n" else os.fsdecode(path)


def _listed(path: str) -> Iterator[Film]:
    """The films of a table.

    Raises:
        BatchError: It is none, or a row has more cells than the first line.
    """
    try:
        table = open_table(Path(path))
        used = find_columns(table, _KNOWN, example="file,age,sex")
        for row in table:
            if row.problem:
                raise BatchError(f"{row.place} of {path} has {row.problem}")
            yield _film_of(path, table, used, row)
    except DataError as error:
        raise BatchError(str(error)) from error


def _film_of(path: str, table: Table, used: Columns, row: Row) -> Film:
    cells = {as_text(name): as_text(text) for name, text in used.known(row).items()}
    if not cells[FILE]:
        problem = Problem("no_file", f"{row.place} of {path} names no file")
        return replace(_named(f"{path}, row {row.place.split()[1]}"), problem=problem)
    folder = os.path.dirname(path)
    file = find_file(folder, row.raw[used.own[FILE]], table.encoding)
    facts = {str(name): _fact(name, cells[name], table) for name in PATIENT_FACTS if cells.get(name)}
    carried = {as_text(name): as_text(row.cells[name]) for name in used.others}
    return Film(os.path.abspath(os.path.join(folder, file)), cells[FILE], cells.get(ID, ""), facts, carried)


def _fact(name: str, text: str, table: Table) -> str:
    """A fact as it is sent; what cannot be read is sent as it stands, and refused with its row."""
    if name != SEX:
        return plain_number(text, table.decimal_comma)
    try:
        return sex(text)
    except ValueError:
        return text
