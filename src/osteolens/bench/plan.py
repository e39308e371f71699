"""What a benchmark measures: backends, threads, scopes and batches, as cases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, Field

from osteolens.bench.results import Case, HeatMap, Scope
from osteolens.errors import BenchmarkError
from osteolens.processor import cores

EAGER = "eager"
"""The reference: contiguous memory, as PyTorch has it by default."""
EAGERS = (EAGER, "eager-channels-last")
OPENVINO = {"openvino": "f32", "openvino-bf16": "bf16"}
"""The precision of OpenVINO's arithmetic, by backend."""
BACKENDS = (*EAGERS, "torchscript", "torch-compile", "onnx-fp32", "onnx-int8", *OPENVINO)
SCOPES: tuple[Scope, ...] = tuple(scope for scope in get_args(Scope) if scope != "http")


class Setup(BaseModel):
    """What a process is to load."""

    model: Path = Field(description="model folder")
    backend: str
    exports: Path = Field(description="holds the exported file; unused by those that start from the model folder")
    threads: int = Field(description="to compute with")
    films: tuple[Path, ...]


@dataclass(frozen=True)
class Settings:
    """What to measure, as chosen on the command line.

    Attributes:
        backends: Some of `BACKENDS`.
        must_run: Whether one that cannot run here is an error, or is left out.
        heat_maps: With, without, or both where it makes a difference.
        rounds: Turns of each case.
        calls: Timed calls per turn.
        warm_up: Calls before them in each turn: other processes have used the caches meanwhile.
        seed: Random seed for the order within the rounds.

    Raises:
        BenchmarkError: A value makes no sense.
    """

    backends: tuple[str, ...] = BACKENDS
    must_run: bool = False
    batches: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = ()
    scopes: tuple[Scope, ...] = SCOPES
    heat_maps: tuple[bool, ...] = (False, True)
    rounds: int = 10
    calls: int = 16
    warm_up: float = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for backend in self.backends:
            if backend not in BACKENDS:
                raise BenchmarkError(f"unknown backend {backend!r}: use one of {', '.join(BACKENDS)}")
        for scope in self.scopes:
            if scope not in SCOPES:
                raise BenchmarkError(f"unknown scope {scope!r}: use one of {', '.join(SCOPES)}")
        at_least("--batch", 1, *self.batches)
        at_least("--threads", 1, *self.threads)
        at_least("--rounds", 1, self.rounds)
        at_least("--calls", 1, self.calls)
        at_least("--warm-up", 0, self.warm_up)
        if self.warm_up % 1:
            raise BenchmarkError(f"--warm-up {self.warm_up:g} is no number of calls: use {round(self.warm_up)}")

    @property
    def thread_counts(self) -> tuple[int, ...]:
        """The chosen ones, else one and all cores."""
        return self.threads or tuple(sorted({1, cores()}))


def at_least(option: str, least: float, *values: float) -> None:
    """Refuse values that are too small.

    Raises:
        BenchmarkError: Names the option, the value and a valid one.
    """
    for value in values:
        if value < least:
            raise BenchmarkError(f"{option} {value:g} is too small: use {least:g} or more")


def cases(model: str, backend: str, threads: int, settings: Settings) -> list[Case]:
    """The cases that one process measures.

    A graph gives its heat maps whether they are wanted or not, so there is one case of it from array to outputs. The
    reader answers film by film, so batches make no difference to it.
    """
    planned = []
    for scope in settings.scopes:
        for batch in settings.batches if scope == "model" else (1,):
            planned += [
                Case(model=model, backend=backend, scope=scope, heat_map=heat_map, batch=batch, threads=threads)
                for heat_map in _heat_maps(backend, scope, settings.heat_maps)
            ]
    return planned


def _heat_maps(backend: str, scope: Scope, wanted: Sequence[bool]) -> Iterator[HeatMap]:
    if scope == "model" and backend not in EAGERS:
        yield "closed form"
        return
    if False in wanted:
        yield "none"
    if True in wanted:
        if backend in EAGERS:
            yield "grad-cam"
        if scope == "model" or backend not in EAGERS:
            yield "closed form"
