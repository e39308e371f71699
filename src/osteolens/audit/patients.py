"""Patients' facts in a table, read cell by cell; a cell that cannot be read is a finding, not the end of the audit."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from osteolens.datasets import values
from osteolens.datasets.columns import SEX, column_named, look_alikes
from osteolens.datasets.tables import Row, Table
from osteolens.files import as_text

_KNOWN = (*values.NUMBERS, SEX)
_DECIMAL = re.compile(r"[-+\N{MINUS SIGN}]?[0-9]+,[0-9]+")


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

    def read(self, row: Row) -> dict[str, str]:
        """The cells of a row by column; one that cannot be read is empty."""
        cells = {name: self._plain(as_text(row.cells[name])) for name in self.others}
        return cells | {name: self._fact(row, own, name) for own, name in self.names.items()}

    def _fact(self, row: Row, own: str, name: str) -> str:
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
