"""The audit from tables or folders to a page, a JSON file and an exit status: the wiring."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from osteolens.audit.cell_findings import cell_findings
from osteolens.audit.copies import find_copies, origins
from osteolens.audit.data_set import read_data_set
from osteolens.audit.findings import Collection, Severity, by_importance, verdict
from osteolens.audit.gate_findings import gate_findings
from osteolens.audit.leaks import copy_findings, label_findings, reading_findings, split_findings
from osteolens.audit.page import audit_page
from osteolens.audit.pictures import Seen, look_at_all
from osteolens.audit.profiles import balance_findings, profiles
from osteolens.audit.result import Audit, RowCheck, as_json
from osteolens.audit.rows import DataSet, Naming, Row
from osteolens.audit.shortcuts import SOURCE, find_shortcuts, shortcut_findings
from osteolens.console import Status
from osteolens.datasets.columns import SEX
from osteolens.errors import DataError
from osteolens.files import write_text
from osteolens.films.gate import Gate, find_gate
from osteolens.films.joints import Finder, finder_beside
from osteolens.places import shipped

PAGE_FILE, JSON_FILE = "audit.html", "audit.json"
_FEATURES, _LEAST_FEATURES, _ALL_FEATURES = 200, 60, 800_000
"""Features per picture, and of all pictures together, which bounds time and memory."""
_SHOWN_LINES = 3
_WORDS: dict[Severity, tuple[str, str]] = {
    "leak": ("LEAK", "bold red"),
    "fault": ("FAULT", "red"),
    "warning": ("WARNING", "yellow"),
    "note": ("note", "dim"),
}


def audit(
    source: Path,
    compare: Path | None,
    naming: Naming,
    compare_naming: Naming,
    predictors: Sequence[str],
    out: Path,
    people: Path | None = None,
) -> int:
    """Audit a data set, write page and JSON, print a summary, and return the exit status.

    Args:
        source: A table or folder.
        compare: Another one that should, or should not, hold the same pictures.
        naming: Where `source` keeps what.
        compare_naming: Where `compare` keeps what.
        predictors: Further columns of the table to test on the label.
        out: Folder for `audit.html` and `audit.json`.
        people: Folder of a reader of persons, which compares the table's sex and age with the pictures.

    Returns:
        `Status.FINDINGS` if a split leaks, else `Status.DONE`.

    Raises:
        CardError: `people` holds no reader of persons.
        DataError: A table or folder is none, lacks columns, or has no picture that can be read.
    """
    console = Console(stderr=True)
    data = read_data_set(source, naming)
    other = read_data_set(compare, compare_naming) if compare else None
    if compare and other and other.name == data.name:  # findings name the data sets, so names must differ
        data, other = replace(data, name=source.as_posix()), replace(other, name=compare.as_posix())
    missing = [name for name in predictors if name not in data.columns]
    if missing:
        raise DataError(f"{source} has no column {missing[0]!r}; its columns are {', '.join(data.columns) or 'none'}")
    collection = collect(data, other, console)
    result = examine(collection, predictors, check_rows(collection, people, console))
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / JSON_FILE, json.dumps(as_json(result), indent=1, allow_nan=False) + "\n")
    write_text(out / PAGE_FILE, audit_page(result))
    summarise(result, Console())
    print(f"Written: {out / PAGE_FILE} (open it in a browser) and {out / JSON_FILE}")
    return Status.FINDINGS if result.leaks else Status.DONE


def collect(data: DataSet, compare: DataSet | None, console: Console) -> Collection:
    """Look at all pictures and find what they have in common.

    Raises:
        DataError: Not a single picture of a data set can be read.
    """
    rows = (*data.rows, *(compare.rows if compare else ()))
    # 200 features of 4,000 pictures are 800,000 descriptors; of more pictures each gives fewer.
    features = min(_FEATURES, max(_LEAST_FEATURES, _ALL_FEATURES // len(rows)))
    gate = find_gate(shipped() / "weights" / "gate")
    looks = look_at_all([row.path for row in rows], features, console, Gate(gate) if gate else None)
    seen = {number: look for number, look in enumerate(looks) if isinstance(look, Seen)}
    problems = {number: look for number, look in enumerate(looks) if isinstance(look, str)}
    for data_set, first in ((data, 0), (compare, len(data.rows))):
        if data_set and problems.keys() >= {*range(first, first + len(data_set.rows))}:
            raise DataError(
                f"none of the {len(data_set.rows)} files of {data_set.name} can be read; the first is "
                f"{rows[first].path}: {problems[first]}"
            )
    matches = tuple(find_copies(seen, console))
    return Collection(data, compare, rows, seen, problems, matches, origins(len(rows), matches))


def films_in_common(paths: Sequence[Path], source: Path, console: Console) -> dict[int, str]:
    """How each film that shares a picture with a data set is related to it, by its number.

    Args:
        paths: The films.
        source: The other data set: a table with a column `file`, or a folder of pictures.
        console: Where progress goes.

    Raises:
        DataError: There is no such data set, or none of its pictures can be read.
    """
    rows = tuple(Row(path.name, path.name, path) for path in paths)
    other = read_data_set(source, Naming(label="", group="", split=""))
    collection = collect(DataSet("the films", rows, (), ()), other, console)
    theirs = set(collection.origin[len(rows) :].tolist())
    relations = {match.first: match.describe() for match in collection.matches if collection.is_own(match.first)} | {
        match.second: match.describe() for match in collection.matches if collection.is_own(match.second)
    }
    # A chain counts: a part of a film of which another part was trained on.
    return {number: relations[number] for number in collection.own if int(collection.origin[number]) in theirs}


def check_rows(collection: Collection, people: Path | None, console: Console) -> RowCheck:
    """Compare a table's sex and age with its pictures, if it has one of them and there is a reader of persons.

    Raises:
        CardError: `people` holds no reader of persons.
    """
    if people is None or not {"age", SEX} & {*collection.data.columns}:
        return RowCheck()
    from osteolens.audit.people import compare_rows  # PyTorch takes seconds to import
    from osteolens.models.people import load_reader

    path = finder_beside(people)
    return compare_rows(collection, load_reader(people), console, Finder(path) if path else None)


def examine(collection: Collection, predictors: Sequence[str], row_check: RowCheck | None = None) -> Audit:
    """Draw all conclusions.

    Args:
        collection: The pictures.
        predictors: Further columns to test on the label.
        row_check: How its rows agree with the pictures.
    """
    row_check = row_check or RowCheck()
    shortcuts, remarks = find_shortcuts(collection, predictors, "label")
    if SOURCE in collection.data.columns:
        on_source, further = find_shortcuts(collection, (), SOURCE)
        shortcuts, remarks = shortcuts + on_source, remarks + further
    on_gate, further = gate_findings(collection)
    remarks = [*remarks, *further]
    tables = profiles(collection)
    findings = by_importance(
        [
            *split_findings(collection),
            *label_findings(collection),
            *cell_findings(collection),
            *reading_findings(collection),
            *on_gate,
            *copy_findings(collection),
            *shortcut_findings(shortcuts),
            *row_check.findings,
            *balance_findings(tables.get("label", [])),
        ]
    )
    split = any(collection.rows[number].part for number in collection.own)
    remarks = [*remarks, *row_check.remarks]
    return Audit(collection, findings, verdict(findings, split), shortcuts, remarks, tables, row_check)


def summarise(result: Audit, console: Console) -> None:
    """Print the verdict and the findings in order of importance."""
    console.print(Text(result.verdict, style="bold red" if result.leaks else "bold"), soft_wrap=True)
    for finding in result.findings:
        word, style = _WORDS[finding.severity]
        console.print(Text.assemble((f"{word}  ", style), finding.title), soft_wrap=True)
        for line in finding.lines[:_SHOWN_LINES]:
            console.print(Text(f"    {line}", style="dim"), soft_wrap=True)
        if len(finding.lines) > _SHOWN_LINES:
            console.print(Text(f"    and {len(finding.lines) - _SHOWN_LINES:,} more", style="dim"))
