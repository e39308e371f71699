"""Rows of a data set, and how they are read from a table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from osteolens.datasets import tables, values
from osteolens.datasets.columns import SEX, column_named, find_columns, look_alikes
from osteolens.datasets.names import FILE, composed, find_file
from osteolens.datasets.tables import Table, open_table
from osteolens.errors import DataError
from osteolens.files import as_text
from osteolens.labels import usual

SEVERAL = "|"
"""Between labels in one cell: the table itself gives the picture more than one."""
_SPLIT_COLUMNS = ("split", "part")
_KNOWN = (*values.NUMBERS, SEX)
_DECIMAL = re.compile(r"[-+\N{MINUS SIGN}]?[0-9]+,[0-9]+")


@dataclass(frozen=True)
class Naming:
    """Columns of a data set by purpose; one that is None has its usual name, if the table has it.

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
    """Rows of a table or folder.

    Attributes:
        name: File name of the table, or name of the folder.
        rows: All of them, in order.
        columns: Of a table; facts about patients by their known names.
        notes: How it was read, in plain sentences.
        problems: Values that cannot be read, a sentence each.
        look_alikes: Columns that look like a known one under another name, a sentence each.
    """

    name: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...] = ()
    look_alikes: tuple[str, ...] = ()


@dataclass
class PatientFacts:
    """The columns that are neither file nor label, group or split.

    Attributes:
        names: The table's own name of a column to the known one.
        others: Further columns.
        decimal_comma: Whether the table writes decimals with a comma.
        look_alikes: Which columns look like a known one that the table lacks.
        problems: Which cells could not be read: filled while rows are read.
    """

    names: dict[str, str]
    others: tuple[str, ...]
    decimal_comma: bool
    look_alikes: tuple[str, ...]
    problems: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, table: Table, taken: Sequence[str]) -> "PatientFacts":
        """The columns of a table, but for those that are taken."""
        free = [name for name in table.columns if name not in taken]
        own = {column: name for name in _KNOWN if (column := column_named(table, name)) in free}
        others = tuple(name for name in free if name not in own)
        slips = look_alikes(others, [name for name in _KNOWN if name not in own.values()])
        lines = (f"the column {column!r} looks like {name!r}, and is not read as it" for name, column in slips.items())
        return cls(own, others, table.decimal_comma, tuple(lines))

    def read(self, row: tables.Row) -> dict[str, str]:
        """The cells of a row by column; one that cannot be read is empty."""
        cells = {name: self._plain(as_text(row.cells[name])) for name in self.others}
        return cells | {name: self._fact(row, own, name) for own, name in self.names.items()}

    def _fact(self, row: tables.Row, own: str, name: str) -> str:
        text = as_text(row.cells[own])
        try:
            if name == SEX:
                return values.sex(text)
            values.number(text, name, self.decimal_comma)
        except ValueError as error:
            self.problems.append(f"{row.place}: {error}")
            return ""
        return values.plain_number(text, self.decimal_comma)

    def _plain(self, text: str) -> str:
        return text.replace(",", ".") if self.decimal_comma and _DECIMAL.fullmatch(text) else text


def read_table(path: Path, naming: Naming) -> DataSet:
    """The rows of a table; wrong values of patients are left for the audit.

    Raises:
        DataError: No rows, not the columns, or a line with more cells than the first.
    """
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
    """All rows of a table; a line with too many cells refuses the table, as its cells may all be shifted."""
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
    """Refuse a table without groups whose column looks like them: every patient on two sides would be missed."""
    column = look_alikes(others, ["group"]).get("group")
    if column:
        raise DataError(
            f"{table.path} has no column 'group', but {column!r} looks like it: give {options}group-column "
            f'{column!r}, or {options}group-column "" to audit without groups'
        )
