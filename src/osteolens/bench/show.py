"""A benchmark as tables: in the terminal, as Markdown, and as CSV for spreadsheets."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from osteolens.bench.plan import EAGER
from osteolens.bench.results import Machine, Measurement, Protocol, Results, Run, ratio
from osteolens.bench.statistics import Interval
from osteolens.files import whole

Grid = tuple[str, list[str], list[list[str]]]
"""Title, header, rows."""

_COLUMNS = (
    "backend", "median ms", "p95", "p99", "films/s", "faster than eager", "probability", "T-score", "heat map",
    "labels", "statuses", "late",
)  # fmt: skip
_PROCESS_COLUMNS = ("process", "import s", "load s", "first call ms", "peak RSS MiB", "PSS MiB", "idle CPU %")
NOTES = (
    "Milliseconds of a call. Faster than eager: how many times as long eager takes (with grad-cam where there is a "
    "heat map), median over the rounds with its 95 % bootstrap interval. Probability, T-score, heat map: largest "
    "difference from eager on these films, from array to outputs before calibration, from file to JSON as answered "
    "(where maps have 256 levels); labels: films with another label. Idle CPU: of one core, while others had a turn."
)
SERVER_NOTES = (
    "Milliseconds as the caller sees them. Statuses: answers by HTTP status over all rounds; late: arrivals that were "
    "sent late because too many were under way."
)


_PLAIN_WIDTH = 160
_FRAME = 3
"""Letters that a column takes beside its text: a space on either side, and a line."""


def wide_console() -> Console:
    """Standard output; in a file or a pipe wide enough for most tables, unless `COLUMNS` says how wide it is."""
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=_PLAIN_WIDTH)


def panels(results: Results) -> dict[str, list[Measurement]]:
    """Measurements that belong side by side, the fastest first."""
    groups: dict[str, list[Measurement]] = {}
    for measurement in results.measurements:
        groups.setdefault(measurement.case.panel, []).append(measurement)
    return {panel: sorted(group, key=lambda measurement: measurement.p50_ms) for panel, group in sorted(groups.items())}


def tables(results: Results, width: int) -> Iterator[Table]:
    """For a terminal of so many columns."""
    for title, header, rows in _grids(results):
        yield from narrow_tables(title, header, rows, width)


def narrow_tables(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[Table]:
    """As many tables as it takes for each to fit a width, with the first column in all of them.

    Rich would shorten names and figures to fit; here nothing is shortened, and a text wider than its table is folded.
    """
    widths = [max(map(cell_len, column)) + _FRAME for column in zip(header, *rows, strict=True)]
    start = 1
    while start < len(header):
        end = start + 1
        while end < len(header) and 1 + widths[0] + sum(widths[start : end + 1]) <= width:
            end += 1
        table = Table(title=title if start == 1 else f"{title} (continued)", title_justify="left")
        for index in (0, *range(start, end)):
            table.add_column(header[index], justify="right" if index else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(row[index]) for index in (0, *range(start, end))))
        yield table
        start = end


def markdown(results: Results) -> str:
    """For a README: machine, protocol, command, and the tables."""
    blocks = [machine_text(results.machine), protocol_text(results.protocol), f"    {results.command}"]
    blocks += [f"**Take care:** {text}." for text in results.warnings]
    for title, header, rows in _grids(results):
        lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
        blocks += [f"**{title}**", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join([*blocks, *left_out(results.runs), notes(results)]) + "\n"


def machine_text(machine: Machine) -> str:
    """The machine in one paragraph."""
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return (
        f"{machine.cpu}, {machine.cores} cores ({', '.join(machine.instruction_sets)}), {machine.memory_gib:g} GiB, "
        f"{machine.system}, Python {machine.python}, {packages}."
    )


def protocol_text(protocol: Protocol) -> str:
    """How it was measured, in one paragraph."""
    if protocol.calls is None:
        return (
            f"{protocol.rounds} rounds of {protocol.seconds:g} s per load after {protocol.warm_up:g} s that do not "
            f"count, in random order within each round; {protocol.films}."
        )
    return (
        f"Every backend and thread count in a process of its own, one working at a time; {protocol.rounds} rounds in "
        f"random order, in each {protocol.calls} calls after {protocol.warm_up:g} that do not count; {protocol.films}."
    )


def left_out(runs: Sequence[Run]) -> list[str]:
    """What could not be measured, and why, in sentences."""
    return [f"{run.model}: {name} is left out: {reason}." for run in runs for name, reason in run.left_out.items()]


def notes(results: Results) -> str:
    """What the columns mean."""
    return SERVER_NOTES if results.protocol.calls is None else NOTES


def baseline(measurement: Measurement, group: Sequence[Measurement]) -> Measurement | None:
    """The eager measurement of a panel that gives as much: with grad-cam where the other has a heat map."""
    heat_map = "none" if measurement.case.heat_map == "none" else "grad-cam"
    return next((other for other in group if (other.case.backend, other.case.heat_map) == (EAGER, heat_map)), None)


def _grids(results: Results) -> Iterator[Grid]:
    for panel, group in panels(results).items():
        yield _filled(panel, _COLUMNS, [_cells(measurement, group) for measurement in group])
    for run in results.runs:
        processes = {(item.case.backend, item.case.threads): item.process for item in run.measurements if item.process}
        rows = [
            [f"{backend}, threads: {threads}", f"{cost.import_s:.2f}", f"{cost.load_s:.2f}", f"{cost.first_ms:.0f}",
             f"{cost.peak_rss_mib:.0f}", f"{cost.pss_mib:.0f}" if cost.pss_mib else "", f"{cost.idle_cpu_percent:.2f}"]
            for (backend, threads), cost in processes.items()
        ]  # fmt: skip
        if rows:
            yield _filled(f"{run.model}, what each process costs", _PROCESS_COLUMNS, rows)


def _filled(title: str, header: Sequence[str], rows: list[list[str]]) -> Grid:
    """Without columns that are empty throughout."""
    filled = [index for index in range(len(header)) if any(row[index] for row in rows)]
    return title, [header[index] for index in filled], [[row[index] for index in filled] for row in rows]


def _cells(measurement: Measurement, group: Sequence[Measurement]) -> list[str]:
    eager = baseline(measurement, group)
    faster = _times(ratio(eager, measurement)) if eager and eager is not measurement else ""
    cells = [
        measurement.case.label,
        f"{measurement.p50_ms:.2f}",
        f"{measurement.p95_ms:.2f}",
        f"{measurement.p99_ms:.2f}",
    ]
    cells += [f"{measurement.films_per_second:.1f}", faster]
    parity, traffic = measurement.parity, measurement.traffic
    cells += [_small(parity.probability), _small(parity.t_score), _small(parity.heat_map)] if parity else [""] * 3
    cells.append(str(parity.other_labels) if parity else "")
    responses = traffic.statuses | traffic.failures if traffic else {}
    cells.append(", ".join(f"{name}: {count}" for name, count in responses.items()))
    cells.append(str(traffic.late) if traffic and traffic.late else "")
    return cells


def _times(interval: Interval) -> str:
    ends = f" ({interval.low:.2f} to {interval.high:.2f})" if interval.is_known else ""
    return f"{interval.value:.2f}{ends}"


def _small(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.0e}"


def write_csv(results: Results, path: Path) -> None:
    """One row per measurement; the rounds are in the JSON file alone."""
    rows = [_record(measurement) for measurement in results.measurements]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with whole(path) as draft, draft.open("w", newline="") as stream:
        table = csv.DictWriter(stream, columns, restval="")
        table.writeheader()
        table.writerows(rows)


def _record(measurement: Measurement) -> dict[str, object]:
    row: dict[str, object] = {"run_id": measurement.run_id, **measurement.case.model_dump()}
    row |= measurement.model_dump(include={"p50_ms", "p95_ms", "p99_ms", "films_per_second"})
    row |= {"rounds": len(measurement.rounds), "calls": measurement.calls}
    if measurement.parity:
        row |= {f"parity_{name}": value for name, value in measurement.parity.model_dump().items()}
    if measurement.process:
        row |= measurement.process.model_dump()
    if measurement.traffic:
        row |= {f"status_{status}": count for status, count in measurement.traffic.statuses.items()}
        row |= {"failures": sum(measurement.traffic.failures.values()), "late": measurement.traffic.late}
    return row
