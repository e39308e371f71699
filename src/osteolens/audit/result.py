"""The result of an audit as data: `audit.json` holds everything, also what the page leaves out of long lists."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from osteolens import __version__
from osteolens.audit.copies import Match
from osteolens.audit.findings import Collection, Finding
from osteolens.audit.profiles import Profile
from osteolens.audit.shortcuts import Shortcut

SCHEMA = 1


@dataclass(frozen=True)
class RowCheck:
    """How the rows of a table agree with their pictures, see `osteolens.audit.people`.

    Attributes:
        findings: One per compared column.
        figures: Likewise, ready for JSON but for the numbers of contradicted rows.
        remarks: What could not be compared, in plain sentences.
    """

    findings: Sequence[Finding] = ()
    figures: Sequence[Mapping[str, Any]] = ()
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class Audit:
    """All results of an audit.

    Attributes:
        collection: The pictures.
        findings: In order of importance.
        verdict: One sentence.
        shortcuts: Tests of what predicts the label or the source.
        remarks: What could not be tested, in plain sentences.
        tables: Descriptions of the pictures by label, part, source and device family.
        row_check: How the rows agree with the pictures.
    """

    collection: Collection
    findings: Sequence[Finding]
    verdict: str
    shortcuts: Sequence[Shortcut]
    remarks: Sequence[str]
    tables: dict[str, list[Profile]]
    row_check: RowCheck

    @property
    def leaks(self) -> bool:
        """Whether a split leaks."""
        return any(finding.severity == "leak" for finding in self.findings)


def as_json(audit: Audit) -> dict[str, Any]:
    """Everything, ready for `json.dumps`; pictures are referred to by data set and file."""
    collection = audit.collection
    return {
        "schema": SCHEMA,
        "osteolens": __version__,
        "data": collection.data.name,
        "compare": collection.compare.name if collection.compare else None,
        "notes": [*collection.data.notes, *(collection.compare.notes if collection.compare else ())],
        "verdict": audit.verdict,
        "leaks": audit.leaks,
        "findings": [_finding(collection, finding) for finding in audit.findings],
        "matches": [_match(collection, match) for match in collection.matches],
        "shortcuts": [_shortcut(shortcut) for shortcut in audit.shortcuts],
        "rows_against_pictures": [_agreement(collection, figures) for figures in audit.row_check.figures],
        "not_tested": list(audit.remarks),
        "tables": {name: [asdict(profile) for profile in profiles] for name, profiles in audit.tables.items()},
        "pictures": [_picture(collection, number) for number in range(len(collection.rows))],
    }


def _finding(collection: Collection, finding: Finding) -> dict[str, Any]:
    texts = {name: getattr(finding, name) for name in ("kind", "severity", "title", "meaning", "advice", "count")}
    return texts | {
        "lines": list(finding.lines),
        "matches": [_match(collection, match) for match in finding.matches],
        "pictures": [_name(collection, number) for number in finding.numbers],
    }


def _match(collection: Collection, match: Match) -> dict[str, Any]:
    numbers = {"first": _name(collection, match.first), "second": _name(collection, match.second)}
    return asdict(match) | numbers | {"relation": match.describe()}


def _name(collection: Collection, number: int) -> dict[str, str]:
    return {"data_set": collection.data_set(number), "file": collection.rows[number].file}


def _shortcut(shortcut: Shortcut) -> dict[str, Any]:
    metrics = [metric.model_dump() for metric in shortcut.metrics]
    return asdict(shortcut) | {"metrics": metrics, "strength": shortcut.strength}


def _agreement(collection: Collection, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {**figures, "contradicted": [_name(collection, number) for number in figures["contradicted"]]}


def _picture(collection: Collection, number: int) -> dict[str, Any]:
    row, seen = collection.rows[number], collection.seen.get(number)
    return {
        "data_set": collection.data_set(number),
        "file": row.file,
        "place": row.place,
        "labels": list(row.labels),
        "group": row.group or None,
        "part": row.part or None,
        "origin": int(collection.origin[number]),
        "problem": collection.problems.get(number),
        "facts": asdict(seen.facts) if seen else None,
    }
