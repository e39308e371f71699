"""From the rounds of a comparison to its tables."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from contenders import CEILING, PLAIN, REFERENCE

from osteolens.bench.statistics import Interval, median_interval, paired_ratio

Row = dict[str, Any]
FIGURES = ("films_per_second", "p50_ms", "p95_ms", "p99_ms")


def summarise(measurements: Sequence[Row]) -> list[Row]:
    """Medians over the rounds with 95 % bootstrap intervals; films a second beside the ceiling and the plain server.

    The ceiling is two processes without a server; for a single caller, who keeps one worker busy, it is one process
    with two threads.
    """
    cells: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in sorted(measurements, key=lambda row: row["round"]):
        cells[row["server"], row["level"]].append(row)
    return [_summary(name, level, rows, cells) for (name, level), rows in cells.items()]


def _summary(name: str, level: int, rows: list[Row], cells: Mapping[tuple[str, int], list[Row]]) -> Row:
    summary: Row = {"server": name, "level": level, "answers": sum(row["answers"] for row in rows)}
    summary["errors"] = dict(sum((Counter(row["errors"]) for row in rows), Counter()))
    for figure in FIGURES:
        summary[figure] = asdict(median_interval([row[figure] for row in rows]))
    others = {"of_ceiling": (REFERENCE, 1) if level == 1 else (CEILING, 2), "of_plain": (PLAIN, level)}
    for ratio, other in others.items():
        below = [row["films_per_second"] for row in cells.get(other, ())]
        if len(below) == len(rows) and all(below):  # all rounds, so that each is divided by its own
            summary[ratio] = asdict(paired_ratio([row["films_per_second"] for row in rows], below))
    return summary


def markdown(figures: Row) -> str:
    """The tables, with what was measured and where."""
    return "\n".join([*_heading(figures), *_speed(figures), *_costs(figures), *_memory(figures)]) + "\n"


def _heading(figures: Row) -> Iterator[str]:
    machine = figures["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    others = max(row["others_percent"] for row in figures["measurements"])
    yield f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
    yield f"Python {machine['python']}, {packages}."
    yield f"`{figures['command']}`, {figures['made']}: {figures['films']}, backend {figures['backend']},"
    yield f"{figures['rounds']} rounds of {figures['seconds']:g} s in random order, after {figures['warm_up']:g} s of "
    yield f"warm-up each; load average before {figures['load_before']:.1f}; other programs took {others:.0f} % of the "
    yield "processors at most. Medians over the rounds with 95 % bootstrap intervals."
    if not figures["complete"]:
        yield "Interrupted: some rounds are missing."
    for name, reason in figures["left_out"].items():
        yield f"\nLeft out: {name}: {reason}"


def _speed(figures: Row) -> Iterator[str]:
    for level in sorted({row["level"] for row in figures["summary"] if row["server"] not in (CEILING, REFERENCE)}):
        ceiling = REFERENCE if level == 1 else CEILING
        rows = [
            row for row in figures["summary"] if row["level"] == level and row["server"] not in (CEILING, REFERENCE)
        ]
        rows.sort(key=lambda row: -row["films_per_second"]["value"])
        rows += [row for row in figures["summary"] if row["server"] == ceiling]
        yield f"\n### {level} at a time\n"
        yield f"| server | films a second | p50 ms | p95 ms | p99 ms | of {ceiling} | times {PLAIN} | errors |"
        yield "|---|---|---|---|---|---|---|---|"
        for row in rows:
            cells = [_interval(row["films_per_second"], 1), *(_interval(row[name], 0) for name in FIGURES[1:])]
            cells += [_interval(row.get(name), 2) for name in ("of_ceiling", "of_plain")]
            errors = ", ".join(f"{name}: {count}" for name, count in row["errors"].items()) or "0"
            yield f"| {' | '.join([row['server'], *cells, errors])} |"


def _interval(interval: Mapping[str, float] | None, digits: int) -> str:
    if interval is None:
        return ""
    bounds = Interval(**interval)
    text = f"{bounds.value:.{digits}f}"
    return f"{text} ({bounds.low:.{digits}f} to {bounds.high:.{digits}f})" if bounds.is_known else text


def _costs(figures: Row) -> Iterator[str]:
    yield "\n### What they cost\n"
    yield "| server | start to first answer, s | memory, MiB (PSS, all processes) | idle, % of a core | settings |"
    yield "|---|---|---|---|---|"
    for name, facts in figures["servers"].items():
        numbers = f"{facts['cold_start_s']:.1f} | {facts['pss_mib']:.0f} | {facts['idle_percent']:.1f}"
        yield f"| {name} | {numbers} | {facts['settings']} |"


def _memory(figures: Row) -> Iterator[str]:
    if "memory" in figures:
        yield "\n### Our memory over many requests\n"
        yield "| requests | all processes, MiB (PSS) | each |"
        yield "|---|---|---|"
        for row in figures["memory"]:
            yield f"| {row['calls']} | {row['pss_mib']:.0f} | {', '.join(map(str, row['each_mib']))} |"
