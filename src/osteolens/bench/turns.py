"""Measuring in turns: every case once a round, in random order."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from rich.progress import Progress

from osteolens.bench.results import Case, Measurement, Parity, Process, Round, Traffic
from osteolens.bench.statistics import percentiles

T = TypeVar("T")


@dataclass
class Series:
    """Measurements of one case so far."""

    case: Case
    rounds: list[Round] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, index: int, latencies_ms: Sequence[float], films_per_second: float) -> None:
        """Note a turn: milliseconds of each call."""
        self.latencies_ms += latencies_ms
        median = round(float(np.median(latencies_ms)), 4)
        self.rounds.append(
            Round(
                index=index,
                calls=len(latencies_ms),
                median_ms=median,
                films_per_second=round(films_per_second, 3),
            )
        )

    def measurement(
        self,
        run_id: str,
        *,
        parity: Parity | None = None,
        process: Process | None = None,
        traffic: Traffic | None = None,
    ) -> Measurement:
        """The figures; there must have been a turn."""
        p50, p95, p99 = (round(value, 4) for value in percentiles(self.latencies_ms))
        return Measurement(
            run_id=run_id,
            case=self.case,
            rounds=tuple(self.rounds),
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            films_per_second=float(np.median([turn.films_per_second for turn in self.rounds])),
            parity=parity,
            process=process,
            traffic=traffic,
        )


def take_turns(
    series: Sequence[Series], rounds: int, seed: int, turn: Callable[[Series, int], None], progress: Progress
) -> bool:
    """Give every series a turn per round, in another random order each round.

    Args:
        series: What to measure; each turn is added to its own.
        rounds: Turns of each.
        seed: Random seed for the order.
        progress: Shows how far it is.
        turn: Measures and notes one turn: series, index of the round.

    Returns:
        Whether all turns were taken; Ctrl-C ends them early.
    """
    task = progress.add_task("", total=rounds * len(series))
    try:
        for index, entry in interleaved(series, rounds, seed):
            label = f"{entry.case.panel}: {entry.case.label}"
            progress.update(task, description=f"round {index + 1} of {rounds}, {label}")
            turn(entry, index)
            progress.advance(task)
    except KeyboardInterrupt:
        return False
    finally:
        progress.remove_task(task)
    return True


def interleaved(items: Sequence[T], rounds: int, seed: int) -> Iterator[tuple[int, T]]:
    """Every item once per round, each round in another random order: (index of the round, item)."""
    order = random.Random(seed)  # noqa: S311 - not cryptography
    for index in range(rounds):
        yield from ((index, item) for item in order.sample(items, len(items)))
