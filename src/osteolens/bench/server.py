"""A running server measured under load: callers at once, or requests a second."""

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.progress import Progress

from osteolens.bench.load import Load, closed_loop, open_loop
from osteolens.bench.plan import at_least
from osteolens.bench.results import Case, Run, Traffic
from osteolens.bench.turns import Series, take_turns
from osteolens.client import Client
from osteolens.errors import BenchmarkError
from osteolens.options import header_name

_ANSWERED = {"force": "true"}
"""Whatever the films show, the model is measured, and the gate with it."""
_NO_MAP = {"explain": "none"}


@dataclass(frozen=True)
class Loads:
    """The loads to put on a server.

    Attributes:
        concurrencies: Callers at once, each waiting for its answer.
        rates: Requests a second, whatever the server does.
        heat_maps: With, without, or both.
        rounds: Turns of each load.
        seconds: Length of a turn.
        warm_up: Seconds that do not count, before each turn of callers that wait.
        seed: Random seed for the order within the rounds.

    Raises:
        BenchmarkError: A value makes no sense.
    """

    concurrencies: tuple[int, ...] = (1, 8, 32)
    rates: tuple[float, ...] = ()
    heat_maps: tuple[bool, ...] = (False, True)
    rounds: int = 10
    seconds: float = 5.0
    warm_up: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        at_least("--concurrency", 1, *self.concurrencies)
        at_least("--rate", 0.01, *self.rates)
        at_least("--rounds", 1, self.rounds)
        at_least("--seconds", 0.1, self.seconds)
        at_least("--warm-up", 0, self.warm_up)


@dataclass
class _Tally:
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    late: int = 0

    def add(self, load: Load) -> None:
        self.statuses.update(load.statuses)
        self.failures.update(load.failures)
        self.late += load.late

    def traffic(self) -> Traffic:
        return Traffic(statuses=dict(self.statuses), failures=dict(self.failures), late=self.late)


def measure_server(
    url: str, model: str, key: str | None, films: Sequence[bytes], loads: Loads, progress: Progress
) -> Run:
    """Put the loads on a server in turns; Ctrl-C ends them early.

    Args:
        url: Address of the inference API.
        model: The name it is served under.
        key: Key of its inference API, where it has one.
        films: The files' bytes.
        loads: What to put on it.
        progress: Shows what is being done.

    Raises:
        ClientError: Nobody answers at the address, or a first film is refused.
        BenchmarkError: No film at all was answered in a turn.
    """
    started, run_id = time.perf_counter(), secrets.token_hex(6)
    with Client(url, key) as client:
        first = client.predict(films[0], model=model, options=_ANSWERED)
        address = f"{client.url}/predictions/{model}"
    headers = {"Content-Type": "application/octet-stream"} | ({"Authorization": f"Bearer {key}"} if key else {})
    task = progress.add_task(f"{model}: warming up the server", total=None)
    closed_loop(address, films, headers, concurrency=max(loads.concurrencies, default=1), seconds=loads.seconds)
    progress.remove_task(task)
    series = [Series(case) for case in _cases(model, loads)]
    tallies = {entry.case: _Tally() for entry in series}

    def turn(entry: Series, index: int) -> None:
        case = entry.case
        options = _ANSWERED | (_NO_MAP if case.heat_map == "none" else {})
        sent = headers | {header_name(name): value for name, value in options.items()}
        if case.rate is None:
            callers = case.concurrency or 1
            load = closed_loop(address, films, sent, concurrency=callers, seconds=loads.seconds, warm_up=loads.warm_up)
        else:
            load = open_loop(address, films, sent, rate=case.rate, seconds=loads.seconds)
        tallies[case].add(load)
        if not load.latencies_ms:
            raise BenchmarkError(
                f"no film was answered in a turn of {case.label}: statuses {load.statuses}, failures {load.failures}"
            )
        entry.add(index, load.latencies_ms, load.films_per_second)

    complete = take_turns(series, loads.rounds, loads.seed, turn, progress)
    return Run(
        id=run_id,
        model=model,
        version=first.model.version,
        card_sha256=first.model.card_sha256,
        complete=complete,
        left_out={},
        others_percent=None,
        measurements=tuple(
            entry.measurement(run_id, traffic=tallies[entry.case].traffic()) for entry in series if entry.rounds
        ),
        seconds=round(time.perf_counter() - started, 1),
    )


def _cases(model: str, loads: Loads) -> list[Case]:
    planned = []
    for with_map in loads.heat_maps:
        case = Case(model=model, backend="server", scope="http", heat_map="heat map" if with_map else "none")
        planned += [case.model_copy(update={"concurrency": callers}) for callers in loads.concurrencies]
        planned += [case.model_copy(update={"rate": rate}) for rate in loads.rates]
    return planned
