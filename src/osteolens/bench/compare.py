"""Two results files side by side, which were not measured in turns: differences, never ratios."""

from collections.abc import Iterator

from osteolens.bench.results import Case, Results
from osteolens.bench.show import narrow_tables, wide_console
from osteolens.bench.statistics import MIN_ROUNDS, Interval, difference, median_interval
from osteolens.errors import BenchmarkError

_COLUMNS = ("measurement", "old", "new", "new less old", "excludes zero")
NOT_INTERLEAVED = (
    "The two files were not measured in turns, so no ratio is given: whatever else differed between the two moments "
    "is in these differences too."
)


def compare(old: Results, new: Results) -> Iterator[tuple[Case, Interval, Interval, Interval]]:
    """Each case that both files have: old median, new median, new less old, in milliseconds of a call.

    Raises:
        BenchmarkError: They have no case in common, or they hold the same run.
    """
    shared = {run.id for run in old.runs} & {run.id for run in new.runs}
    if shared:
        raise BenchmarkError(f"both files hold run {shared.pop()}: give the results of two benchmarks")
    before = {measurement.case: list(measurement.medians.values()) for measurement in old.measurements}
    after = {measurement.case: list(measurement.medians.values()) for measurement in new.measurements}
    common = [case for case in before if case in after]
    if not common:
        raise BenchmarkError("the files have no measurement in common: model, backend, threads and so on must agree")
    for case in common:
        pair = before[case], after[case]
        yield case, median_interval(pair[0]), median_interval(pair[1]), difference(*pair)


def cautions(old: Results, new: Results) -> list[str]:
    """What to know before believing a difference."""
    sentences = [NOT_INTERLEAVED]
    for name in type(old.machine).model_fields:
        before, after = getattr(old.machine, name), getattr(new.machine, name)
        if isinstance(before, dict) and isinstance(after, dict):
            changed = [key for key in before | after if before.get(key) != after.get(key)]
            before, after = ({key: packages.get(key, "absent") for key in changed} for packages in (before, after))
        if before != after:
            sentences.append(
                f"The machines differ: {name.replace('_', ' ')} was {_joined(before)} and is {_joined(after)}."
            )
    cards = {run.model: run.card_sha256 for run in old.runs}
    for run in new.runs:
        if cards.get(run.model, run.card_sha256) != run.card_sha256:
            sentences.append(f"The models differ: {run.model} has another card.")
    if old.protocol.films != new.protocol.films:
        sentences.append(f"The films differ: {old.protocol.films}; then {new.protocol.films}.")
    for label, results in (("old", old), ("new", new)):
        sentences += [f"The {label} file says: {text}." for text in results.warnings]
    return sentences


def show(old: Results, new: Results) -> None:
    """Print the comparison; see `compare` for errors."""
    panels: dict[str, list[list[str]]] = {}
    for case, before, after, change in compare(old, new):
        verdict = "too few rounds" if not change.is_known else "yes" if change.excludes_zero else "no"
        row = [case.label, _text(before), _text(after), _text(change, "+"), verdict]
        panels.setdefault(case.panel, []).append(row)
    console = wide_console()
    for panel, rows in panels.items():
        console.print(*narrow_tables(panel, _COLUMNS, rows, console.width))
    caption = f"Milliseconds of a call: medians over the rounds, 95 % bootstrap intervals from {MIN_ROUNDS} rounds up."
    for text in (caption, *cautions(old, new)):
        console.print(text, highlight=False, soft_wrap=True)


def _text(interval: Interval, sign: str = "") -> str:
    ends = f" ({interval.low:{sign}.2f} to {interval.high:{sign}.2f})" if interval.is_known else ""
    return f"{interval.value:{sign}.2f}{ends}"


def _joined(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, text in value.items())
    return ", ".join(value) if isinstance(value, tuple) else str(value)
