"""Columns of a table, recognised by name in any case and with spaces around it.

A column that is not known is not used, and is listed. One that looks like a known column which the table lacks is
refused: a group under another name would let patients leak across a split, and facts would be dropped without a word.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from osteolens.datasets.names import FILE, GROUP, LABEL, fold
from osteolens.datasets.tables import Row, Table
from osteolens.errors import DataError

T_SCORE, AGE, SEX, WEIGHT, HEIGHT = "t_score", "age", "sex", "weight_kg", "height_m"
SOURCE, FAMILY, SIDE = "source", "format_family", "side"

MEANINGS = {
    GROUP: "keeps all films of a patient on one side of a split",
    T_SCORE: "in standard deviations",
    AGE: "in years",
    SEX: "female or male",
    WEIGHT: "in kilograms",
    HEIGHT: "in metres",
}
"""Optional columns with their meaning: a similar name in a table is refused, as it may be a slip."""
_OTHER_WORDS = {
    FILE: ("filename", "filepath", "path", "image", "imagepath", "picture", "datei", "dateiname"),
    LABEL: ("class", "diagnosis", "target", "diagnose", "klasse"),
    GROUP: (
        "patient", "patientid", "patientnr", "patientno", "pid", "person", "personid", "subject", "subjectid",
        "participant", "participantid", "groupid", "grp", "patienten", "patientenid",
    ),
    AGE: ("ages", "ageyears", "ageinyears", "patientage", "patientsage", "alter"),
    SEX: ("gender", "geschlecht", "patientsex", "patientssex", "sexe"),
    WEIGHT: ("weight", "gewicht", "patientweight", "patientsweight"),
    HEIGHT: ("height", "bodyheight", "size", "groesse", "größe", "patientsize", "patientssize"),
}  # fmt: skip
_NO_SLIPS = frozenset({"zscore", "score", "bscore", "table"})
"""Names that resemble a known one and mean something else."""
_SIMILAR, _SHORTEST = 0.8, 4


@dataclass(frozen=True)
class Columns:
    """The columns of one table that are used.

    Attributes:
        own: Known name to the name in the table.
        others: Other columns of the table, which are not used.
    """

    own: dict[str, str]
    others: tuple[str, ...]

    def known(self, row: Row) -> dict[str, str]:
        """Cells of a row by known name."""
        return {name: row.cells[own] for name, own in self.own.items()}


def find_columns(table: Table, known: Sequence[str], required: Iterable[str] = (FILE,), example: str = "") -> Columns:
    """Find the known columns of a table.

    Args:
        table: A table.
        known: Known names.
        required: Known names that the table must have.
        example: A valid first line.

    Raises:
        DataError: A required column is missing, or one looks like a known one that is missing.
    """
    own = {name: column for name in known if (column := column_named(table, name))}
    others = tuple(name for name in table.columns if name not in own.values())
    for name in required:
        if name not in own:
            close = look_alikes(others, [name]).get(name)
            raise DataError(
                f"{table.path} has no column {name!r}; its columns are {', '.join(table.columns) or 'none'}"
                + (f"; rename {close!r} to {name}, if that is it" if close else "")
                + (f"; for example {example}" if example else "")
            )
    missing = [name for name in known if name in MEANINGS and name not in own]
    for name, column in look_alikes(others, missing).items():
        raise DataError(
            f"the column {column!r} of {table.path} looks like {name!r} ({MEANINGS[name]}), which the table lacks: "
            f"rename it to {name} if that is it, else to a name that tells them apart"
        )
    return Columns(own, others)


def column_named(table: Table, name: str) -> str:
    """Name of a column as the table spells it; empty if there is none."""
    return next((column for column in table.columns if fold(column) == fold(name)), "")


def look_alikes(columns: Sequence[str], missing: Iterable[str]) -> dict[str, str]:
    """First column that looks like each missing name: a synonym, or a slip of the pen."""
    similar: dict[str, str] = {}
    for name in missing:
        for column in columns:
            if _is_like(column, name, columns):
                similar.setdefault(name, column)
    return similar


def _is_like(column: str, name: str, columns: Sequence[str]) -> bool:
    short, wanted = _letters(column), _letters(name)
    if name == HEIGHT and "width" in map(_letters, columns):
        return False  # beside a width, it is the height of the picture
    if short == wanted or short in _OTHER_WORDS.get(name, ()):
        return True
    if min(len(short), len(wanted)) < _SHORTEST or short in _NO_SLIPS:
        return False
    return difflib.SequenceMatcher(None, short, wanted).ratio() >= _SIMILAR


def _letters(name: str) -> str:
    return "".join(letter for letter in fold(name) if letter.isalnum())
