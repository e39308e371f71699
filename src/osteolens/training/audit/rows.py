"""What a data set says about its pictures: the rows of a table, or the names of folders."""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from osteolens.errors import DataError
from osteolens.training.data import PICTURE_SUFFIXES

SEVERAL = "|"
"""Between labels in one cell: the table itself gives the picture more than one."""
PART_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing", "holdout"})
_SPLIT_COLUMNS = ("split", "part")


@dataclass(frozen=True)
class Naming:
    """Where a data set keeps what; a column that is None is taken by its usual name if the table has it.

    Attributes:
        label: Column of labels; empty to go without. Usually `label`, which a table must then have.
        group: Column of groups (patients), usually `group`; empty to go without.
        split: Column that says on which side of a split a picture is, usually `split` or `part`; empty to go without.
        group_pattern: Regular expression whose first bracket, in the file's name, is the group.
        part: The side of a split on which all pictures are that are not told otherwise.
        options: How the command line's options for these begin, for messages.
    """

    label: str | None = None
    group: str | None = None
    split: str | None = None
    group_pattern: str | None = None
    part: str = ""
    options: str = "--"


@dataclass(frozen=True)
class Row:
    """One picture as a data set names it.

    Attributes:
        place: Where it was named: `line 7`, or the file's name.
        file: As the data set gives it.
        path: The picture, which need not exist.
        labels: None, one, or contradicting ones.
        group: Empty where unknown.
        part: Side of the split; empty where unknown.
        values: The table's other cells, stripped.
    """

    place: str
    file: str
    path: Path
    labels: tuple[str, ...] = ()
    group: str = ""
    part: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The label, or nothing where there is none or more than one."""
        return self.labels[0] if len(self.labels) == 1 else ""


@dataclass(frozen=True)
class DataSet:
    """All rows of a table or folder, and in plain sentences how it was read."""

    name: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    notes: tuple[str, ...]


def read_data_set(source: Path, naming: Naming) -> DataSet:
    """Read a CSV table with the column `file` (relative to the table), or a folder of pictures.

    In a folder, pictures lie in one folder per class, or in one folder per class in one folder per part (such as
    `train/normal/1.png`), or all together without labels. Wrong rows and missing files are left for the audit.

    Raises:
        DataError: There is no such table or folder, it has no pictures or not the columns, or the pattern fits none.
    """
    if not source.exists():
        raise DataError(f"there is no table or folder {source}")
    data_set = _read_folder(source, naming) if source.is_dir() else _read_table(source, naming)
    if naming.group_pattern is not None:
        return _grouped_by_name(data_set, naming.group_pattern)
    return data_set


def _read_table(table: Path, naming: Naming) -> DataSet:
    columns, lines = _cells(table)
    if "file" not in columns:
        raise DataError(f"{table} has no column 'file'; its columns are {', '.join(columns)}")
    label = _column(table, columns, naming.label, ("label",), f"{naming.options}label-column")
    if naming.label is None and not label:
        raise DataError(
            f"{table} has no column 'label'; name the labels' column with {naming.options}label-column, or give "
            f'{naming.options}label-column "" to audit without labels; its columns are {", ".join(columns)}'
        )
    group = _column(table, columns, naming.group, ("group",), f"{naming.options}group-column")
    split = _column(table, columns, naming.split, _SPLIT_COLUMNS, f"{naming.options}split-column")
    rows = tuple(
        Row(
            place=f"line {line}",
            file=cells["file"],
            path=table.parent / cells["file"],
            labels=tuple(dict.fromkeys(part.strip() for part in cells.get(label, "").split(SEVERAL) if part.strip())),
            group=cells.get(group, ""),
            part=cells.get(split, "") or naming.part,
            values={name: value for name, value in cells.items() if name not in ("file", label, group, split)},
        )
        for line, cells in lines
    )
    if not rows:
        raise DataError(f"{table} has no rows; expected lines such as films/1.jpg,normal")
    notes = [
        f"Labels: column {label}." if label else "Labels: none.",
        f"Groups: column {group}." if group else "Groups: none, so no patient can be followed across a split.",
        f"Split: column {split}." if split else f"Split: all is {naming.part}." if naming.part else "Split: none.",
    ]
    return DataSet(table.name, rows, tuple(columns), tuple(notes))


def _cells(table: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The columns' names, and each line's number and stripped cells."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restkey="", restval="")
            columns = [name for name in reader.fieldnames or [] if name]
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a CSV table in UTF-8: {error}") from error
    if not columns:
        raise DataError(f"{table} is empty; expected a CSV table whose first line names columns, such as file,label")
    return columns, [(line, {name: row[name].strip() for name in columns}) for line, row in rows]


def _column(table: Path, columns: Sequence[str], named: str | None, usual: Sequence[str], option: str) -> str:
    """The column to use, or nothing.

    Raises:
        DataError: A column was asked for by name and is not there.
    """
    if named is None:
        return next((name for name in usual if name in columns), "")
    if named and named not in columns:
        raise DataError(f"{table} has no column {named!r} for {option}; its columns are {', '.join(columns)}")
    return named


def _read_folder(folder: Path, naming: Naming) -> DataSet:
    for option, value in (("label", naming.label), ("group", naming.group), ("split", naming.split)):
        if value:
            raise DataError(
                f"{naming.options}{option}-column {value} is for tables, but {folder} is a folder"
                + (f"; use {naming.options}group-pattern" if option == "group" else "")
            )
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    pictures = [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        raise DataError(
            f"{folder} holds no pictures ({', '.join(PICTURE_SUFFIXES)}); expected files such as {folder}/normal/1.png"
        )
    name = folder.resolve().name
    parents = [path.relative_to(folder).parts[:-1] for path in pictures]
    with_parts = max(map(len, parents)) > 1 or {part[0].lower() for part in parents if part} <= PART_FOLDERS
    rows = tuple(
        _named_by_folders(path, folder, above, with_parts, naming)
        for path, above in zip(pictures, parents, strict=True)
    )
    return DataSet(name, rows, (), tuple(_folder_notes(rows, len(files) - len(pictures), naming)))


def _named_by_folders(path: Path, folder: Path, above: tuple[str, ...], with_parts: bool, naming: Naming) -> Row:
    """A picture whose first folder is its part (if there are parts), and whose last other folder is its label."""
    labelled = above[1:] if with_parts else above
    use_label = labelled and naming.label != ""
    part = above[0] if with_parts and above and naming.split != "" else naming.part
    file = path.relative_to(folder).as_posix()
    return Row(file, file, path, (labelled[-1],) if use_label else (), part=part)


def _folder_notes(rows: Sequence[Row], others: int, naming: Naming) -> list[str]:
    parts = sorted({row.part for row in rows if row.part})
    unlabelled = sum(not row.labels for row in rows)
    notes = ["Labels: names of the innermost folders." if unlabelled < len(rows) else "Labels: none."]
    if naming.group_pattern is None:
        notes.append("Groups: none, so no patient can be followed across a split; --group-pattern reads them.")
    notes.append(f"Split: {', '.join(parts)}." if parts else "Split: none.")
    if others:
        notes.append(f"{others} files are no pictures by their names and were left out.")
    return notes


def _grouped_by_name(data_set: DataSet, pattern: str) -> DataSet:
    """The data set with the groups that are in its files' names."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DataError(f"the group pattern {pattern!r} is not a regular expression: {error}") from error
    if not expression.groups:
        raise DataError(f"the group pattern {pattern!r} has no brackets; an example is '(\\d+)[LR]'")
    found = [expression.search(row.path.name) for row in data_set.rows]
    if not any(found):
        raise DataError(f"the group pattern {pattern!r} fits no file name, such as {data_set.rows[0].path.name}")
    rows = tuple(
        replace(row, group=match.group(1) or "" if match else "")
        for row, match in zip(data_set.rows, found, strict=True)
    )
    sizes = Counter(bool(row.group) for row in rows)
    note = f"Groups: from file names by {pattern}" + (f"; {sizes[False]} names do not fit." if sizes[False] else ".")
    notes = (note, *(text for text in data_set.notes if not text.startswith("Groups:")))
    return replace(data_set, rows=rows, notes=notes)
