"""Results as CSV, for spreadsheets."""

import csv
from pathlib import Path

from osteolens.bench.results import Measurement, Results
from osteolens.files import whole


def write_csv(results: Results, path: Path) -> None:
    """One row per measurement; the rounds are in the JSON file alone."""
    rows = [_row(one) for one in results.measurements]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with whole(path) as draft, draft.open("w", newline="") as stream:
        table = csv.DictWriter(stream, columns, restval="")
        table.writeheader()
        table.writerows(rows)


def _row(one: Measurement) -> dict[str, object]:
    row: dict[str, object] = {"run_id": one.run_id, **one.case.model_dump()}
    row |= one.model_dump(include={"p50_ms", "p95_ms", "p99_ms", "films_per_second"})
    row |= {"rounds": len(one.rounds), "calls": one.calls}
    if one.parity:
        row |= {f"parity_{name}": value for name, value in one.parity.model_dump().items()}
    if one.process:
        row |= one.process.model_dump()
    if one.traffic:
        row |= {f"status_{status}": count for status, count in one.traffic.statuses.items()}
        row |= {"failures": sum(one.traffic.failures.values()), "late": one.traffic.late}
    return row
