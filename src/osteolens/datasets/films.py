"""Films for training: a table or a folder in, checked rows and prepared pictures out."""

import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from osteolens.card import FINDER_FILE, PreprocessSpec
from osteolens.datasets import columns, folders, values
from osteolens.datasets.names import FILE, GROUP, LABEL, composed, find_file
from osteolens.datasets.tables import Row, Table, open_table
from osteolens.errors import DataError, InputError, in_words
from osteolens.files import as_text
from osteolens.films.acquisition import measure
from osteolens.films.joints import Finder
from osteolens.films.knees import prepare_row
from osteolens.films.prepare import Prepared
from osteolens.films.read import read
from osteolens.labels import LABELS, SEVERITY, usual
from osteolens.places import shipped
from osteolens.quality import Side

SHOWN_PROBLEMS = 20
_KNOWN = (FILE, LABEL, GROUP, *values.NUMBERS, columns.SEX, columns.SOURCE, columns.FAMILY)


@dataclass(frozen=True)
class Film:
    """One row of a data set.

    Attributes:
        place: Place in the data set, for messages: `line 7`, or the file's name.
        path: The picture.
        file: Name of the picture in the data set; `1.jpg#left` for a row about one knee of it.
        group: Films of one group (a patient) always stay on the same side of a split.
        label: The class.
        t_score: Standard deviations from the young adult mean, or NaN.
        age: Years, or NaN.
        sex: `female` or `male`; empty where unknown.
        weight_kg: Kilograms, or NaN.
        height_m: Metres, or NaN.
        source: Where the film was taken, for data from several places; empty where unknown.
        family: Family of the file's format or size, which depends on the device; empty where unknown.
        held_out: Whether the data set keeps this film for the final test.
        acquisition: How it was taken, see `osteolens.films.acquisition.NAMES`; empty before the picture is read.
    """

    place: str
    path: Path
    file: str
    group: str
    label: str
    t_score: float = math.nan
    age: float = math.nan
    sex: str = ""
    weight_kg: float = math.nan
    height_m: float = math.nan
    source: str = ""
    family: str = ""
    held_out: bool = False
    acquisition: tuple[float, ...] = ()

    @property
    def side(self) -> Side | None:
        """The knee that the row is about; None for the whole film, or its only knee."""
        return split_side(self.file)[1]


def split_side(file: str) -> tuple[str, Side | None]:
    """The picture and the knee of a `Film.file`."""
    name, _, side = file.rpartition("#")
    if name and side == "left":
        return name, "left"
    return (name, "right") if name and side == "right" else (file, None)


class LabelledFilms:
    """N films with K labels: labels, T-scores and groups as arrays, for classes with these two attributes."""

    films: Sequence[Film]
    labels: tuple[str, ...]

    @property
    def truth(self) -> NDArray[np.int64]:
        """Index of each film's label, int64 [N]."""
        return np.array([self.labels.index(film.label) for film in self.films], np.int64)

    @property
    def measured(self) -> NDArray[np.float64]:
        """Each film's measured T-score, float64 [N]; NaN where there is none."""
        return np.array([film.t_score for film in self.films], np.float64)

    @property
    def family(self) -> NDArray[np.int64]:
        """Number of each film's device family, int64 [N]."""
        return np.unique([film.family for film in self.films], return_inverse=True)[1].astype(np.int64)

    @property
    def groups(self) -> list[str]:
        """Each film's group, [N]."""
        return [film.group for film in self.films]


def read_films(
    source: Path,
    skip: str = "",
    held_out: str = "",
    labels: Sequence[str] = (),
    notify: Callable[[str], None] = lambda _: None,
    *,
    knees: bool = False,
) -> list[Film]:
    """Read the films of a data set.

    Args:
        source: A table (see `osteolens.datasets.tables`) with `file` (relative to the table) and `label`, and
            optionally `group` (without it each file is its own), `t_score`, `age`, `sex`, `weight_kg`, `height_m`,
            `source` and `format_family`; other columns are not used. Or a folder that holds one folder per class,
            where each file is its own group: write a table where a patient has several.
        skip: A column of the table; rows where it is true (1, true, yes) are left out.
        held_out: A column of the table; rows where it is true are kept for the final test.
        labels: All labels that may occur; without them, those of `osteolens.labels` or any others, but not both.
        notify: Called with a sentence on the columns and files that are not used.
        knees: For a model that reads each knee: the column `side` (left or right) says which knee of its film a row is
            about, and a film of both may have two rows.

    Raises:
        DataError: Names every wrong row with its line, up to 20, and how many there are.
    """
    if not source.is_dir():
        return _read_table(source, skip, held_out, labels, notify, knees=knees)
    for key, column in (("skip", skip), ("held_out", held_out)):
        if column:
            raise DataError(
                f'data.{key} names the column {column!r}, but {source} is a folder; use a table or {key} = ""'
            )
    return _read_folder(source, labels, notify)


def load_pictures(films: Sequence[Film], spec: PreprocessSpec, console: Console) -> NDArray[np.uint8]:
    """Decode and prepare all films: uint8 [N, 1, H, W].

    Raises:
        DataError: Names every picture that cannot be read.
    """
    return load_films(films, spec, console)[1]


def load_films(films: Sequence[Film], spec: PreprocessSpec, console: Console) -> tuple[list[Film], NDArray[np.uint8]]:
    """Decode all films: the same with their acquisition measured, and as `load_pictures` gives them.

    Raises:
        DataError: Names every picture that cannot be read.
    """
    pictures = np.empty((len(films), 1, spec.height, spec.width), np.uint8)
    finder = shipped_finder(spec)
    loaded, problems = [], []
    for index, film in enumerate(track(films, "reading films", console=console)):
        try:
            pixels = read(film.path).pixels
            pictures[index] = prepare_row(pixels, spec, finder, film.side).array
        except (InputError, OSError) as error:
            problems.append(f"{film.place}: {film.file}: {in_words(error)}")
            continue
        loaded.append(replace(film, acquisition=measure(pixels)))
    _refuse(problems, "the pictures")
    return loaded, pictures


def prepare_film(film: Film, spec: PreprocessSpec, finder: Finder | None) -> Prepared:
    """Read and prepare a film, or the knee of it that the row is about.

    Raises:
        InputError, OSError: It cannot be read, or it is not clear which knee is meant.
    """
    return prepare_row(read(film.path).pixels, spec, finder, film.side)


def shipped_finder(spec: PreprocessSpec) -> Finder | None:
    """The joint finder that comes with OsteoLens, for a model that reads each knee."""
    return Finder(finder_path()) if spec.view == "each knee" else None


def finder_path() -> Path:
    """The file of the joint finder that comes with OsteoLens."""
    return shipped() / "weights" / "joints" / FINDER_FILE


def _read_folder(folder: Path, labels: Sequence[str], notify: Callable[[str], None]) -> list[Film]:
    passed_over: Counter[str] = Counter()
    films, problems = [], []
    for path, error in sorted(folders.files_below(str(folder), passed_over), key=lambda entry: entry[0]):
        name = Path(path).relative_to(folder).as_posix()
        depth, suffix = name.count("/"), Path(path).suffix.lower()
        if error is not None:
            problems.append(f"{as_text(name)}: the folder cannot be read: {error.strerror}")
        elif suffix not in folders.PICTURE_SUFFIXES:
            passed_over[suffix] += 1
        elif depth == 0:
            passed_over["beside the class folders"] += 1
        elif depth > 1:
            problems.append(f"{as_text(name)}: a picture below its class folder; use a table, or move it up")
        else:
            name = as_text(name)
            label = usual(composed(name.split("/")[0]))
            films.append(Film(place=name, path=Path(path), file=name, group=name, label=label))
    if not films and not problems:
        raise DataError(f"{folder} holds no pictures; expected one folder per class, such as {folder}/normal/1.png")
    if sentence := folders.describe(passed_over):
        notify(sentence)
    problems += _label_problems(films, labels)
    problems += _repeated(films, lambda film: os.path.realpath(film.path))  # links too: two classes may hold one file
    _refuse(problems, str(folder))
    return films


def _read_table(
    path: Path, skip: str, held_out: str, labels: Sequence[str], notify: Callable[[str], None], *, knees: bool
) -> list[Film]:
    table = open_table(path)
    flags = [name for name in (skip, held_out) if name]
    known = (*_KNOWN, columns.SIDE) if knees else _KNOWN
    used = columns.find_columns(table, [*known, *flags], (FILE, LABEL, *flags), "file,label,group")
    if used.others:
        notify(f"Columns of {path.name} that are not used: {', '.join(used.others)}.")
    films: list[Film] = []
    problems: list[str] = []
    for row in table:
        cells = used.known(row) if not row.problem else {}
        try:
            if row.problem:
                raise ValueError(row.problem)
            if not (skip and values.flag(cells[skip], skip)):
                is_held_out = bool(held_out) and values.flag(cells[held_out], held_out)
                films.append(_film(table, row, cells, row.raw[used.own[FILE]], held_out=is_held_out))
        except ValueError as error:
            problems.append(f"{row.place}: {error}")
    problems += _label_problems(films, labels)
    problems += _repeated(films, lambda film: os.path.normpath(film.path) + (film.side or ""))
    _refuse(problems, str(path))
    if not films:
        raise DataError(f"{path} has no rows to train on; expected lines such as films/1.jpg,normal")
    return films


def _film(table: Table, row: Row, cells: dict[str, str], file: str, *, held_out: bool) -> Film:
    """Check a row and make a film of it.

    Raises:
        ValueError: Names the fault.
    """
    for name in (FILE, LABEL, GROUP):
        if not cells.get(name, "-"):
            raise ValueError(f"{name} is empty")
    path = table.path.parent / find_file(str(table.path.parent), file, table.encoding)
    if not path.is_file():
        raise ValueError(f"there is no file {as_text(str(path))}")
    name = as_text(cells[FILE])
    side = values.side(cells.get(columns.SIDE, ""))
    return Film(
        place=row.place,
        path=path,
        file=f"{name}#{side}" if side else name,
        group=composed(as_text(cells.get(GROUP, name))),
        label=usual(composed(as_text(cells[LABEL]))),
        **{  # type: ignore[arg-type]
            fact: values.number(cells.get(fact, ""), fact, table.decimal_comma) for fact in values.NUMBERS
        },
        sex=values.sex(cells.get(columns.SEX, "")),
        source=as_text(cells.get(columns.SOURCE, "")),
        family=as_text(cells.get(columns.FAMILY, "")),
        held_out=held_out,
    )


def _label_problems(films: Sequence[Film], labels: Sequence[str]) -> list[str]:
    """Problems with labels: unknown ones beside any of `LABELS`, which are most likely slips; or a different case."""
    if not labels and not any(film.label in LABELS for film in films):
        alike = values.differ_in_case(film.label for film in films)
        return [f"the labels {' and '.join(map(repr, names))} differ only in case; write them alike" for names in alike]
    allowed = [usual(composed(label)) for label in labels] or [*SEVERITY]
    return [
        f"{film.place}: unknown label {film.label!r}; use {', '.join(allowed)}"
        for film in films
        if film.label not in allowed
    ]


def _repeated(films: Sequence[Film], identity: Callable[[Film], str]) -> list[str]:
    """Problems with films named twice, which could end up on both sides of a split."""
    first: dict[str, str] = {}
    return [
        f"{film.place}: {film.file} is already named on {first[identity(film)]}"
        for film in films
        if first.setdefault(identity(film), film.place) != film.place
    ]


def _refuse(problems: Sequence[str], where: str) -> None:
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems[:SHOWN_PROBLEMS])
        rest = f"\n  and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError(f"{where}: {count}:\n{shown}{rest}")
