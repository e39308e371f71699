"""Results with numbers that can be worked out by hand."""

from collections.abc import Sequence
from typing import Any

from osteolens.bench.results import Case, Machine, Measurement, Parity, Process, Protocol, Results, Run, Traffic
from osteolens.bench.turns import Series

PARITY = Parity(films=4, probability=0.25, t_score=0.5, heat_map=None, other_labels=1)
PROCESS = Process(import_s=1.5, load_s=0.25, first_ms=40, peak_rss_mib=300, pss_mib=None, idle_cpu_percent=0)
MACHINE = Machine(
    cpu="Abacus 1", cores=2, instruction_sets=("avx2",), memory_gib=4, system="Linux", python="3.11",
    packages={"torch": "2"},
)  # fmt: skip


def case(backend: str = "eager", **changes: Any) -> Case:
    return Case(**{"model": "knee", "scope": "model", "heat_map": "none", "threads": 1} | changes, backend=backend)


def measurement(
    medians: Sequence[float], about: Case | None = None, run_id: str = "run-1", **parts: Any
) -> Measurement:
    """One call per round, which takes the given milliseconds."""
    series = Series(about or case())
    for index, milliseconds in enumerate(medians):
        series.add(index, [milliseconds], 1000 / milliseconds)
    return series.measurement(run_id, **parts)


def results(*measurements: Measurement, **changes: Any) -> Results:
    """A results file with one run."""
    run = Run(
        id=measurements[0].run_id, model="knee", version="1.0", card_sha256="0" * 64, complete=True, seconds=60,
        left_out={"onnx-int8": "there is no model.int8.onnx in build/knee"}, others_percent=1,
        measurements=measurements,
    )  # fmt: skip
    facts = {
        "made": "2030-01-01T00:00:00+00:00", "osteolens": "0.1.0", "command": "osteolens bench", "machine": MACHINE,
        "protocol": Protocol(films="4 films", film_count=4, rounds=5, calls=1, seconds=None, warm_up=3, seed=0),
        "load_before": 0.1, "load_after": 1.0, "runs": (run.model_copy(update=changes.pop("run", {})),),
    }  # fmt: skip
    return Results(**facts | changes)


def traffic(statuses: dict[int, int]) -> Traffic:
    return Traffic(statuses=statuses, failures={}, late=0)
