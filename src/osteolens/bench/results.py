"""Results of a benchmark: one schema, version 1, for backends in processes of their own and for servers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from osteolens.bench.statistics import Interval, paired_ratio
from osteolens.errors import BenchmarkError
from osteolens.files import write_text

Scope = Literal["model", "bytes", "http"]
"""`model`: a prepared array to raw outputs. `bytes`: a file's bytes to the finished JSON. `http`: over a network."""
HeatMap = Literal["none", "grad-cam", "closed form", "heat map"]
"""`grad-cam`: by gradients with the grad-cam package; `closed form`: an output of the model or graph itself;
`heat map`: whichever a server gives."""
BUSY_LOAD, BUSY_PERCENT = 0.5, 5.0
IDLE_PERCENT = 1.0


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Case(_Frozen):
    """What is measured."""

    model: str = Field(description="the name in its card")
    backend: str = Field(description="one of osteolens.bench.backends.BACKENDS, or `server`")
    scope: Scope
    heat_map: HeatMap
    batch: int = Field(1, description="films per call")
    threads: int | None = Field(None, description="computing threads of the process; null for a server")
    concurrency: int | None = Field(None, description="callers at once that each wait for their answer (closed loop)")
    rate: float | None = Field(None, description="requests a second, whatever the server does (open loop)")

    @property
    def label(self) -> str:
        """Short name beside others of the same `panel`."""
        if self.rate is not None:
            way = f"{self.backend}, {self.rate:g} a second"
        elif self.concurrency is not None:
            way = f"{self.backend}, {self.concurrency} at a time"
        else:
            way = self.backend
        return way if self.heat_map == "none" else f"{way} + {self.heat_map}"

    @property
    def panel(self) -> str:
        """What it shares with the measurements that it may be set beside."""
        parts = [self.model, {"model": "array to outputs", "bytes": "file to JSON", "http": "over HTTP"}[self.scope]]
        if self.threads is not None:
            parts.append(f"{self.threads} thread{'s' if self.threads > 1 else ''}")
        return ", ".join([*parts, f"batches of {self.batch}"] if self.batch > 1 else parts)


class Round(_Frozen):
    """One turn of a measurement; those of one index were measured in the same round of their run."""

    index: int
    calls: int
    median_ms: float = Field(description="of a call, which answers `batch` films")
    films_per_second: float


class Parity(_Frozen):
    """How far the answers about the benchmark's films are from those of the eager model (one thread)."""

    films: int
    probability: float = Field(description="largest difference of a probability")
    t_score: float | None = Field(description="largest difference of a T-score; null without one")
    heat_map: float | None = Field(
        description="largest difference between heat maps of the same class, each scaled to its own maximum"
    )
    other_labels: int = Field(description="films with another most likely label")


class Process(_Frozen):
    """What a backend costs beside its calls, in a process of its own."""

    import_s: float = Field(description="seconds to import what it needs")
    load_s: float = Field(description="seconds to load the model")
    first_ms: float = Field(description="of the first call; where a model is compiled, this is when")
    peak_rss_mib: float = Field(description="largest resident memory, everything that was measured in it included")
    pss_mib: float | None = Field(description="proportional memory at the end; null where the system does not tell")
    idle_cpu_percent: float = Field(description="of one core, taken while other processes had their turn")


class Traffic(_Frozen):
    """What came back from a server, over all rounds."""

    statuses: dict[int, int]
    failures: dict[str, int] = Field(description="exception to requests without an answer")
    late: int = Field(description="open loop: arrivals sent late because too many were under way")


class Measurement(_Frozen):
    """One case's figures. The percentiles are over all calls of all rounds, in milliseconds."""

    run_id: str
    case: Case
    rounds: tuple[Round, ...] = Field(min_length=1)
    p50_ms: float
    p95_ms: float
    p99_ms: float
    films_per_second: float = Field(description="median over the rounds")
    parity: Parity | None = None
    process: Process | None = None
    traffic: Traffic | None = None

    @property
    def calls(self) -> int:
        """Timed calls in all rounds."""
        return sum(turn.calls for turn in self.rounds)

    @property
    def medians(self) -> dict[int, float]:
        """Median milliseconds of a call by index of the round."""
        return {turn.index: turn.median_ms for turn in self.rounds}


class Run(_Frozen):
    """Measurements that were taken in turns, in one interleaved series. Ratios exist within a run only."""

    id: str = Field(description="random")
    model: str
    version: str
    card_sha256: str
    complete: bool = Field(description="false when it was interrupted")
    seconds: float
    left_out: dict[str, str] = Field(description="backend to why it was not measured")
    others_percent: float | None = Field(description="share of all cores that other programs took; null for a server")
    measurements: tuple[Measurement, ...]


class Protocol(_Frozen):
    """How it was measured."""

    films: str
    film_count: int
    rounds: int
    calls: int | None = Field(description="timed calls per round; null for a server")
    seconds: float | None = Field(description="seconds per round, of a server")
    warm_up: float = Field(description="calls before the timed ones of each round; of a server, seconds")
    seed: int = Field(description="of the order within the rounds")


class Machine(_Frozen):
    """Where it was measured; of a server, where the load came from."""

    cpu: str
    cores: int
    instruction_sets: tuple[str, ...]
    memory_gib: float
    system: str
    python: str
    packages: dict[str, str]


class Results(_Frozen):
    """A results file."""

    schema_version: Literal[1] = 1
    made: str = Field(description="UTC time in ISO 8601")
    osteolens: str
    command: str
    machine: Machine
    protocol: Protocol
    load_before: float = Field(description="load average of the last minute before anything was started")
    load_after: float = Field(description="the same at the end; the benchmark's own load is in it")
    runs: tuple[Run, ...]

    @property
    def measurements(self) -> list[Measurement]:
        """Figures of all runs."""
        return [measurement for run in self.runs for measurement in run.measurements]

    @property
    def warnings(self) -> list[str]:
        """Why the figures should be taken with care, in plain sentences."""
        busy = f"the machine was busy before the start (load average {self.load_before:.1f})"
        return [busy] * (self.load_before > BUSY_LOAD) + [text for run in self.runs for text in _doubts(run)]


def _doubts(run: Run) -> Iterator[str]:
    if not run.complete:
        yield f"{run.model}: interrupted, some rounds are missing"
    if (run.others_percent or 0) > BUSY_PERCENT:
        yield f"{run.model}: other programs took {run.others_percent:.0f} % of the processors meanwhile"
    idle = {
        (measurement.case.backend, measurement.case.threads): measurement.process.idle_cpu_percent
        for measurement in run.measurements
        if measurement.process
    }
    for (backend, threads), percent in idle.items():
        if percent > IDLE_PERCENT and len(idle) > 1:
            yield f"{run.model}: {backend}, threads: {threads}, took {percent:.0f} % of a core while others had a turn"
    for measurement in run.measurements:
        if measurement.traffic and (measurement.traffic.failures or set(measurement.traffic.statuses) - {200}):
            answers = ", ".join(
                f"{name}: {count}"
                for name, count in (measurement.traffic.statuses | measurement.traffic.failures).items()
            )
            yield f"{run.model}: not every request of {measurement.case.label} was answered ({answers})"


def ratio(slower: Measurement, faster: Measurement) -> Interval:
    """How many times as long a call of `slower` takes as one of `faster`: the median over the rounds that both have.

    Raises:
        BenchmarkError: They were not measured in turns. A machine is never twice the same, so a ratio of figures
            from two runs is a ratio of two machines as well.
    """
    if slower.run_id != faster.run_id:
        raise BenchmarkError(
            f"no ratio of {slower.case.label} (run {slower.run_id}) to {faster.case.label} (run {faster.run_id}): "
            "they were not measured in turns; measure both in one run, or see the difference: osteolens bench compare "
            "OLD NEW"
        )
    rounds = sorted(slower.medians.keys() & faster.medians.keys())
    return paired_ratio([slower.medians[index] for index in rounds], [faster.medians[index] for index in rounds])


def save(results: Results, path: Path) -> None:
    """Write a results file."""
    write_text(path, results.model_dump_json(indent=1) + "\n")


def load(path: Path) -> Results:
    """Read a results file.

    Raises:
        BenchmarkError: It does not follow the schema.
        OSError: It cannot be read.
    """
    try:
        return Results.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BenchmarkError(f"{path} is not a bench.json of version 1: {place}: {first['msg']}") from error
