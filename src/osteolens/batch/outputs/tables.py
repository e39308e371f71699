"""Writes the journal's rows as results.parquet and results.csv, some thousand at a time."""

# mypy: disable-error-code="import-untyped"
import csv
import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from sqlite3 import Row as Record
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from osteolens.batch.journal import Journal
from osteolens.batch.rows import AGREEMENT, COLUMNS, FUSED_SHARES, SHARES, Column, Row, probability_columns
from osteolens.errors import BatchError
from osteolens.files import harmless, whole, whole_folder
from osteolens.schema import NO_FINDING

PARQUET, CSV, KNEES = "results.parquet", "results.csv", "knees.csv"
ROWS_AT_A_TIME = 5000
"""Rows of a partition: so many are in memory at a time."""
_OF_FILM = ("file", "path", "id", "model")
_OF_KNEE = (
    "knee", "side", "side_from", "left", "top", "right", "bottom", "joint_x", "joint_y", "plateau_width", "turn",
    "finding", "model_output", "triage", "t_score", "t_score_low", "t_score_high",
)  # fmt: skip
_ARROW = {"text": pa.string(), "real": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()}


@dataclass(frozen=True)
class Layout:
    """The columns of one batch's results.

    Attributes:
        labels: Labels of all models that answered.
        fused_labels: Labels of those that gave an answer from the patient's facts too.
        carried: The inputs' own columns, and what they are called here: `input_label` where `label` is taken.
    """

    labels: tuple[str, ...]
    fused_labels: tuple[str, ...]
    carried: dict[str, str]

    @classmethod
    def of(cls, journal: Journal) -> "Layout":
        """The layout that all rows of a journal fit in."""
        return cls.around(journal.names("label"), journal.names("fused_label"), journal.names("carried"))

    @classmethod
    def around(cls, labels: tuple[str, ...], fused_labels: tuple[str, ...], carried: Iterable[str]) -> "Layout":
        """A layout in which the inputs' own columns get names that are still free."""
        layout = cls(labels, fused_labels, {})
        taken = {column.name for column in layout.columns}
        for name in carried:
            free = name
            while free in taken:
                free = f"input_{free}"
            layout.carried[name] = free
            taken.add(free)
        return layout

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in order."""
        shares = [f"{SHARES}_{label}" for label in self.labels]
        shares += [f"{FUSED_SHARES}_{label}" for label in self.fused_labels]
        added = [Column(name, "real", "probability") for name in shares]
        added += [Column(name, "text", "as in the input") for name in self.carried.values()]
        return (*COLUMNS, AGREEMENT, *added)

    @property
    def schema(self) -> pa.Schema:
        """The columns with their Arrow types."""
        return pa.schema([(column.name, _ARROW[column.kind]) for column in self.columns])


def write_tables(journal: Journal) -> int:
    """Write both tables beside the journal, each whole or not at all.

    `results.parquet` is a folder of partitions, which pandas, Arrow and Ray read like one file. A single file of that
    name, as earlier versions wrote it, is replaced.

    Returns:
        The number of rows. A film that waits for another version's answer has none yet.

    Raises:
        BatchError: They cannot be written (disk full).
    """
    layout = Layout.of(journal)
    schema = layout.schema
    rows, count = result_rows(journal, layout), 0
    # The sheet is closed before its draft takes its place.
    with (
        _disk_errors(journal.folder),
        whole(journal.folder / CSV) as csv_draft,
        whole_folder(journal.folder / PARQUET) as partitions,
        csv_draft.open("w", newline="", encoding="utf-8") as stream,
    ):
        sheet = csv.writer(stream)
        sheet.writerow(map(harmless, schema.names))
        # A batch without rows has one partition without rows, so that readers find the columns.
        for number in itertools.count():
            part = list(islice(rows, ROWS_AT_A_TIME))
            if number and not part:
                break
            path = partitions / f"part-{number:06}.parquet"
            parquet.write_table(pa.Table.from_pylist(part, schema=schema), path, compression="zstd")
            sheet.writerows([harmless(row.get(name)) for name in schema.names] for row in part)
            count += len(part)
    return count


def write_knees(journal: Journal) -> int:
    """Write `knees.csv`, a row for each knee that was found; without any there is no such table.

    Returns:
        The number of rows.

    Raises:
        BatchError: It cannot be written (disk full).
    """
    labels, path, count = journal.names("label"), journal.folder / KNEES, 0
    columns = (*_OF_FILM, *_OF_KNEE, *(f"{SHARES}_{label}" for label in labels))
    answered = "SELECT * FROM rows WHERE status != 'pending' AND knees IS NOT NULL ORDER BY key, id, model"
    with _disk_errors(journal.folder), whole(path) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
        sheet = csv.writer(stream)
        sheet.writerow(map(harmless, columns))
        for record in journal.select(answered):
            for number, knee in enumerate(json.loads(record["knees"]), 1):
                row = _knee_row(record, number, knee, labels)
                sheet.writerow([harmless(row.get(name)) for name in columns])
                count += 1
    if not count:
        path.unlink()
    return count


def _knee_row(record: Record, number: int, knee: dict[str, Any], labels: tuple[str, ...]) -> Row:
    """One knee; what is a finding of the film alone is one of the knee, too."""
    label, score = knee.get("label"), knee.get("t_score") or {}
    low, high = score.get("interval_90") or (None, None)
    return {
        **{name: record[name] for name in _OF_FILM},
        "knee": number,
        "side": knee.get("side"),
        "side_from": knee.get("side_from"),
        **dict(zip(("left", "top", "right", "bottom"), knee["box"], strict=True)),
        **dict(zip(("joint_x", "joint_y"), knee["joint"], strict=True)),
        "plateau_width": knee["plateau_width"],
        "turn": knee["turn"],
        "finding": (label if record["finding_from"] == "image" else NO_FINDING) if label else None,
        "model_output": label,
        "triage": knee.get("triage"),
        "t_score": score.get("estimate"),
        "t_score_low": low,
        "t_score_high": high,
        **probability_columns(SHARES, knee.get("probabilities") or {}, labels),
    }


def result_rows(journal: Journal, layout: Layout) -> Iterator[Row]:
    """The rows of the results one by one, a film's together."""
    stored = journal.select("SELECT * FROM rows WHERE status != 'pending' ORDER BY key, id, model")
    for _, records in groupby(stored, key=lambda record: (record["key"], record["id"])):
        of_film = list(records)
        labels = [record["label"] for record in of_film]
        for record in of_film:
            row = _columns(record)
            row[AGREEMENT.name] = labels.count(record["label"]) if record["label"] else None
            row |= probability_columns(SHARES, json.loads(record["shares"] or "{}"), layout.labels)
            row |= probability_columns(FUSED_SHARES, json.loads(record["fused_shares"] or "{}"), layout.fused_labels)
            row |= {layout.carried[name]: text for name, text in json.loads(record["carried"]).items()}
            yield row


def _columns(record: Record) -> Row:
    row: Row = {column.name: record[column.name] for column in COLUMNS}
    row["id"] = row["id"] or None
    for column in COLUMNS:
        if column.kind == "boolean" and row[column.name] is not None:
            row[column.name] = bool(row[column.name])
    return row


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # pyarrow's errors of writing are OSError too
        raise BatchError(
            f"{PARQUET} and {CSV} cannot be written to {folder}: {error.strerror or error}; when that is fixed (is "
            "the disk full?), the same command writes them"
        ) from error
