"""Films for training: a table or a folder in, checked rows and prepared pictures out."""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from osteolens import image, preprocess
from osteolens.card import PreprocessSpec
from osteolens.errors import DataError, InputError
from osteolens.labels import LABELS, SEVERITY, have_order, in_order, usual

TRUE, FALSE = ("1", "true", "yes"), ("", "0", "false", "no")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
SHOWN_PROBLEMS = 20
_EXAMPLES = {"t_score": "-1.5", "age": "63", "weight_kg": "71.5", "height_m": "1.62"}
_RANGES = {"t_score": (-15.0, 15.0), "age": (0.0, 130.0), "weight_kg": (2.0, 400.0), "height_m": (0.3, 2.5)}


@dataclass(frozen=True)
class Film:
    """One row of a data set.

    Attributes:
        place: Where it was named, for messages: `line 7`, or the file's name.
        path: The picture.
        file: Its name as the data set gives it.
        group: Films of one group (a patient) always stay on the same side of a split.
        label: The class.
        t_score: Standard deviations from the young adult mean, or NaN.
        age: Years, or NaN.
        sex: As given, in lower case; empty where unknown.
        weight_kg: Kilograms, or NaN.
        height_m: Metres, or NaN.
        source: Where the film was taken, for data from several places; empty where unknown.
        family: What the file's format or size tells of the device; empty where unknown.
        held_out: Whether the data set keeps this film for the final test.
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


def read_films(source: Path, skip: str = "", held_out: str = "", labels: Sequence[str] = ()) -> list[Film]:
    """The films of a data set.

    Args:
        source: A CSV table with `file` (relative to the table) and `label`, and optionally `group` (without it
            each file is its own), `t_score`, `age`, `sex`, `weight_kg`, `height_m`, `source` and `format_family`;
            other columns are ignored. Or a folder that holds one folder per class, where each file is its own
            group: write a table where a patient has several.
        skip: A column of the table; rows where it is true (1, true, yes) are left out.
        held_out: A column of the table; rows where it is true are kept for the final test.
        labels: All labels that may occur; without them, those of `osteolens.labels` or any others, but not both.

    Raises:
        DataError: Names every wrong row with its line, up to 20, and how many there are.
    """
    if source.is_dir():
        for key, column in (("skip", skip), ("held_out", held_out)):
            if column:
                raise DataError(
                    f'data.{key} names the column {column!r}, but {source} is a folder; use a table or {key} = ""'
                )
        return _read_folder(source, labels)
    return _read_table(source, skip, held_out, labels)


def label_order(films: Iterable[Film], order: Sequence[str] = ()) -> tuple[str, ...]:
    """The labels that occur, from least to most severe: figures, losses and triage go by this order.

    Args:
        films: Of the data set.
        order: All of its labels, as `data.labels` has them; without it their names must say the order.

    Raises:
        DataError: There are fewer than two labels, `order` does not fit them, or there is no order.
    """
    names = in_order({film.label for film in films})
    if len(names) < 2:
        raise DataError(f"a model needs films of at least two labels, found only {', '.join(names) or 'none'}")
    if order:
        return _checked_order(names, tuple(usual(label) for label in order))
    if not have_order(names):
        raise DataError(
            f"nothing says which of the labels {', '.join(names)} is worse, and figures, losses and triage go by that: "
            f"add to [data] the line labels = {json.dumps(names, ensure_ascii=False)}, sorted from least to most severe"
        )
    return names


def _checked_order(names: Sequence[str], order: tuple[str, ...]) -> tuple[str, ...]:
    """The order of `data.labels`, if it names each label once and leaves the known ones in their order."""
    if sorted(order) != sorted(names):
        raise DataError(
            f"data.labels names {', '.join(order)}, the films have the labels {', '.join(names)}; name each of those "
            f"once, such as labels = {json.dumps(names, ensure_ascii=False)}"
        )
    known = [label for label in order if label in SEVERITY]
    if known != list(in_order(known)):
        right = ", ".join(in_order(known))
        raise DataError(f"data.labels sorts {', '.join(known)}; from least to most severe it is {right}")
    return order


def load_pictures(films: Sequence[Film], spec: PreprocessSpec, console: Console) -> NDArray[np.uint8]:
    """All films, decoded and prepared: uint8 [N, 1, H, W].

    Raises:
        DataError: Names every picture that cannot be read.
    """
    pictures = np.empty((len(films), 1, spec.height, spec.width), np.uint8)
    problems = []
    for index, film in enumerate(track(films, "reading films", console=console)):
        try:
            pictures[index] = preprocess.prepare(image.read(film.path).pixels, spec).array
        except (InputError, OSError) as error:
            problems.append(f"{film.place}: {film.file}: {error}")
    _refuse(problems, "the pictures")
    return pictures


def _read_folder(folder: Path, labels: Sequence[str]) -> list[Film]:
    films = [
        Film(place=name, path=path, file=name, group=name, label=usual(path.parent.name))
        for path in sorted(folder.glob("*/*"))
        if path.suffix.lower() in PICTURE_SUFFIXES
        for name in [path.relative_to(folder).as_posix()]
    ]
    if not films:
        raise DataError(f"{folder} holds no pictures; expected one folder per class, such as {folder}/normal/1.png")
    problems = _label_problems(films, labels)
    _refuse(problems, str(folder))
    return films


def _read_table(table: Path, skip: str, held_out: str, labels: Sequence[str]) -> list[Film]:
    films: list[Film] = []
    problems: list[str] = []
    for line, row in _rows(table, skip, held_out):
        try:
            if not _flag(row, skip):
                films.append(_film(line, row, table.parent, held_out=_flag(row, held_out)))
        except ValueError as error:
            problems.append(f"line {line}: {error}")
    problems += _label_problems(films, labels)
    problems += _repeated(films)
    _refuse(problems, str(table))
    if not films:
        raise DataError(f"{table} has no rows to train on; expected lines such as films/1.jpg,normal")
    return films


def _rows(table: Path, *flags: str) -> list[tuple[int, dict[str, str]]]:
    """The table's rows with their line numbers; cells are stripped."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restkey="", restval="")
            columns = reader.fieldnames or []
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the table {table} cannot be read: {error}") from error
    missing = [name for name in ("file", "label", *flags) if name and name not in columns]
    if missing:
        raise DataError(f"{table} has no column {missing[0]!r}; its columns are {', '.join(columns) or 'none'}")
    return [(line, {key: value.strip() for key, value in row.items() if key}) for line, row in rows]


def _flag(row: dict[str, str], column: str) -> bool:
    value = row[column].lower() if column else ""
    if value not in TRUE + FALSE:
        raise ValueError(f"{column} is {row[column]!r}; use 0 or 1")
    return value in TRUE


def _film(line: int, row: dict[str, str], folder: Path, *, held_out: bool) -> Film:
    """A checked row.

    Raises:
        ValueError: Says what is wrong with it.
    """
    for name in ("file", "label", "group"):
        if not row.get(name, "-"):
            raise ValueError(f"{name} is empty")
    path = folder / row["file"]
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return Film(
        place=f"line {line}",
        path=path,
        file=row["file"],
        group=row.get("group", row["file"]),
        label=usual(row["label"]),
        t_score=_number(row, "t_score"),
        age=_number(row, "age"),
        sex=row.get("sex", "").lower(),
        weight_kg=_number(row, "weight_kg"),
        height_m=_number(row, "height_m"),
        source=row.get("source", ""),
        family=row.get("format_family", ""),
        held_out=held_out,
    )


def _number(row: dict[str, str], column: str) -> float:
    """A cell as a number; NaN where it is empty or the table has no such column."""
    text = row.get(column, "")
    if not text:
        return math.nan
    low, high = _RANGES[column]
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{column} is {text!r}, which is not a number such as {_EXAMPLES[column]}") from None
    if not low <= value <= high:
        raise ValueError(f"{column} is {text}, expected {low:g} to {high:g}")
    return value


def _label_problems(films: Sequence[Film], labels: Sequence[str]) -> list[str]:
    """One entry per film with an unknown label: where any of ours occurs, any other is most likely a slip."""
    if not labels and not any(film.label in LABELS for film in films):
        return []
    allowed = [usual(label) for label in labels] or [*SEVERITY]
    return [
        f"{film.place}: unknown label {film.label!r}; use {', '.join(allowed)}"
        for film in films
        if film.label not in allowed
    ]


def _repeated(films: Sequence[Film]) -> list[str]:
    """A film named twice could end up on both sides of a split."""
    first: dict[Path, str] = {}
    return [
        f"{film.place}: {film.file} is already named on {first[film.path]}"
        for film in films
        if first.setdefault(film.path, film.place) != film.place
    ]


def _refuse(problems: Sequence[str], where: str) -> None:
    if problems:
        shown = "\n".join(f"  {problem}" for problem in problems[:SHOWN_PROBLEMS])
        rest = f"\n  and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError(f"{where}: {count}:\n{shown}{rest}")
