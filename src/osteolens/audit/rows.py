"""Rows of a data set: pictures with labels, groups and parts, from a table or the names of folders."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from osteolens.audit.patients import PatientFacts
from osteolens.datasets import tables
from osteolens.datasets.columns import column_named, find_columns, look_alikes
from osteolens.datasets.folders import PICTURE_SUFFIXES, describe, files_below
from osteolens.datasets.names import FILE, composed, find_file
from osteolens.datasets.tables import Table, open_table
from osteolens.errors import DataError
from osteolens.files import as_text
from osteolens.labels import usual

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
        part: The side of a split for pictures whose row names none.
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
        values: The table's other cells; facts about the patient by their known names, sexes as female and male, decimal
            commas as points.
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
    """All rows of a table or folder, and in plain sentences how it was read, and which values and columns were not."""

    name: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...] = ()
    look_alikes: tuple[str, ...] = ()


def read_data_set(source: Path, naming: Naming) -> DataSet:
    """Read a table with the column `file` (relative to the table), or a folder of pictures.

    In a folder, pictures lie in one folder per class, or in one folder per class in one folder per part (such as
    `train/normal/1.png`), or all together without labels. Wrong values and missing files are left for the audit.

    Raises:
        DataError: There is no such table or folder, it has no pictures or not the columns, a row has more cells than
            the first, or the pattern fits none.
    """
    if not source.exists():
        raise DataError(f"there is no table or folder {source}")
    data_set = _read_folder(source, naming) if source.is_dir() else _read_table(source, naming)
    if naming.group_pattern is not None:
        return _grouped_by_name(data_set, naming.group_pattern)
    return data_set


def _read_table(path: Path, naming: Naming) -> DataSet:
    table = open_table(path)
    if not table.columns:
        raise DataError(f"{path} is empty; expected a table whose first line names columns, such as file,label")
    used = find_columns(table, (FILE,))
    label = _column(table, naming.label, ("label",), f"{naming.options}label-column")
    if naming.label is None and not label:
        raise DataError(
            f"{path} has no column 'label'; name the labels' column with {naming.options}label-column, or give "
            f'{naming.options}label-column "" to audit without labels; its columns are {", ".join(table.columns)}'
        )
    group = _column(table, naming.group, ("group",), f"{naming.options}group-column")
    split = _column(table, naming.split, _SPLIT_COLUMNS, f"{naming.options}split-column")
    if naming.group is None and naming.group_pattern is None and not group:
        _refuse_hidden_groups(table, used.others, naming.options)
    taken = (used.own[FILE], label, group, split)
    facts = PatientFacts.of(table, taken)
    rows = tuple(_row(row, table, taken, naming, facts) for row in _checked(table))
    if not rows:
        raise DataError(f"{path} has no rows; expected lines such as films/1.jpg,normal")
    notes = [
        f"Labels: column {label}." if label else "Labels: none.",
        f"Groups: column {group}." if group else "Groups: none, so no patient can be followed across a split.",
        f"Split: column {split}." if split else f"Split: all is {naming.part}." if naming.part else "Split: none.",
    ]
    columns = tuple(facts.names.get(name, name) for name in table.columns)
    return DataSet(as_text(path.name), rows, columns, tuple(notes), tuple(facts.problems), facts.look_alikes)


def _checked(table: Table) -> list[tables.Row]:
    """All rows; one that is wrong as a whole would be audited wrongly, so none is left out."""
    rows = list(table)
    wrong = [f"{row.place}: {row.problem}" for row in rows if row.problem]
    if wrong:
        more = f"; and {len(wrong) - 1} more lines" if len(wrong) > 1 else ""
        raise DataError(f"{table.path}: {wrong[0]}{more}")
    return rows


def _row(row: tables.Row, table: Table, taken: tuple[str, str, str, str], naming: Naming, facts: PatientFacts) -> Row:
    file, label, group, split = taken
    name = find_file(str(table.path.parent), row.raw[file], table.encoding)
    labels = (usual(composed(as_text(part))) for part in row.cells.get(label, "").split(SEVERAL) if part.strip())
    return Row(
        place=row.place,
        file=as_text(row.cells[file]),
        path=table.path.parent / name,
        labels=tuple(dict.fromkeys(labels)),
        group=composed(as_text(row.cells.get(group, ""))),
        part=as_text(row.cells.get(split, "")) or naming.part,
        values=facts.read(row),
    )


def _column(table: Table, named: str | None, usual: Sequence[str], option: str) -> str:
    """The column to use as the table writes its name, or nothing.

    Raises:
        DataError: A named column is not there.
    """
    if named is None:
        return next((column for name in usual if (column := column_named(table, name))), "")
    column = column_named(table, named) if named else ""
    if named and not column:
        raise DataError(
            f"{table.path} has no column {named!r} for {option}; its columns are {', '.join(table.columns)}"
        )
    return column


def _refuse_hidden_groups(table: Table, others: Sequence[str], options: str) -> None:
    """No group, but a column that looks like it: an audit without it would miss every patient on two sides."""
    column = look_alikes(others, ["group"]).get("group")
    if column:
        raise DataError(
            f"{table.path} has no column 'group', but {column!r} looks like it: give {options}group-column "
            f'{column!r}, or {options}group-column "" to audit without groups'
        )


def _read_folder(folder: Path, naming: Naming) -> DataSet:
    for option, value in (("label", naming.label), ("group", naming.group), ("split", naming.split)):
        if value:
            raise DataError(
                f"{naming.options}{option}-column {value} is for tables, but {folder} is a folder"
                + (f"; use {naming.options}group-pattern" if option == "group" else "")
            )
    passed_over: Counter[str] = Counter()
    pictures: list[Path] = []
    for path, error in files_below(str(folder), passed_over):
        if error is not None:
            raise DataError(f"the folder {path} cannot be read: {error.strerror}")
        suffix = Path(path).suffix.lower()
        if suffix in PICTURE_SUFFIXES:
            pictures.append(Path(path))
        else:
            passed_over[suffix] += 1
    pictures.sort()
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
    return DataSet(as_text(name), rows, (), tuple(_folder_notes(rows, passed_over, naming)))


def _named_by_folders(path: Path, folder: Path, above: tuple[str, ...], with_parts: bool, naming: Naming) -> Row:
    """A picture whose first folder is its part (if there are parts), and whose last other folder is its label."""
    labelled = above[1:] if with_parts else above
    use_label = labelled and naming.label != ""
    part = above[0] if with_parts and above and naming.split != "" else naming.part
    file = as_text(path.relative_to(folder).as_posix())
    labels = (usual(composed(as_text(labelled[-1]))),) if use_label else ()
    return Row(file, file, path, labels, part=as_text(part))


def _folder_notes(rows: Sequence[Row], passed_over: Counter[str], naming: Naming) -> list[str]:
    parts = sorted({row.part for row in rows if row.part})
    unlabelled = sum(not row.labels for row in rows)
    notes = ["Labels: names of the innermost folders." if unlabelled < len(rows) else "Labels: none."]
    if naming.group_pattern is None:
        notes.append("Groups: none, so no patient can be followed across a split; --group-pattern reads them.")
    notes.append(f"Split: {', '.join(parts)}." if parts else "Split: none.")
    if passed_over:
        notes.append(describe(passed_over))
    return notes


def _grouped_by_name(data_set: DataSet, pattern: str) -> DataSet:
    """The data set with the groups that are in its files' names."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DataError(f"the group pattern {pattern!r} is not a regular expression: {error}") from error
    if not expression.groups:
        raise DataError(f"the group pattern {pattern!r} has no brackets; an example is '(\\d+)[LR]'")
    matches = [expression.search(row.path.name) for row in data_set.rows]
    if not any(matches):
        raise DataError(f"the group pattern {pattern!r} fits no file name, such as {data_set.rows[0].path.name}")
    rows = tuple(
        replace(row, group=match.group(1) or "" if match else "")
        for row, match in zip(data_set.rows, matches, strict=True)
    )
    sizes = Counter(bool(row.group) for row in rows)
    note = f"Groups: from file names by {pattern}" + (f"; {sizes[False]} names do not fit." if sizes[False] else ".")
    notes = (note, *(text for text in data_set.notes if not text.startswith("Groups:")))
    return replace(data_set, rows=rows, notes=notes)
