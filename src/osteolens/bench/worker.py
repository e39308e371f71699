"""The process of one backend: loads it, and measures on request.

Reads JSON from standard input line by line, first a `Setup`, then requests, and answers each with a line on standard
output. It ends with its input, so that none is left over, however its parent came to its end.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osteolens.bench.backends import Subject
    from osteolens.bench.results import Case

STARTED = time.perf_counter()

Reply = dict[str, Any]


def main() -> None:
    """Answer until the input ends."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as channel:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not come between the answers
        for reply in replies(sys.stdin):
            channel.write(json.dumps(reply) + "\n")


def replies(lines: Iterable[str]) -> Iterator[Reply]:
    """One reply per line; after one with `error` or `unavailable` there are no more."""
    from osteolens.bench.backends import Unavailable
    from osteolens.errors import OsteoLensError

    waiting = iter(lines)
    try:
        subject, facts = load(json.loads(next(waiting)))
        yield facts
        worker = Worker(subject)
        while line := worker.rest(waiting):
            request = json.loads(line)
            yield {"number": request.pop("number"), **worker.answer(**request)}
    except Unavailable as reason:
        yield {"unavailable": str(reason)}
    except OsteoLensError as error:
        yield {"error": str(error)}


def load(described: dict[str, Any]) -> tuple["Subject", Reply]:
    """Load a backend, as a `Setup` in JSON says, and time it; see `osteolens.bench.results.Process`."""
    import cv2

    from osteolens.bench import backends
    from osteolens.bench.backends import Subject
    from osteolens.bench.plan import Setup
    from osteolens.card import load_card

    setup = Setup.model_validate(described)
    backends.import_libraries(setup.backend)
    imported = time.perf_counter()
    cv2.setNumThreads(setup.threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(setup.threads)
    reader = backends.load_reader(setup, load_card(setup.model))
    loaded = time.perf_counter()
    subject = Subject(reader, [path.read_bytes() for path in setup.films])
    before = time.perf_counter()
    reader.runtime.predict(subject.arrays[:1])
    return subject, {
        "import_s": round(imported - STARTED, 3),
        "load_s": round(loaded - imported, 3),
        "first_ms": round((time.perf_counter() - before) * 1000, 2),
    }


class Worker:
    """Answers requests about a subject.

    Attributes:
        idle_s: Seconds that it waited for requests.
        idle_cpu_s: CPU seconds of all its threads meanwhile; near 0, or it disturbs those whose turn it is.
    """

    def __init__(self, subject: "Subject") -> None:
        self.subject = subject
        self.idle_s = self.idle_cpu_s = 0.0

    def rest(self, waiting: Iterator[str]) -> str:
        """Wait for the next line, and note what it costs; nothing at the end."""
        clock, cpu = time.perf_counter(), time.process_time()
        line = next(waiting, "")
        self.idle_s += time.perf_counter() - clock
        self.idle_cpu_s += time.process_time() - cpu
        return line

    def answer(self, do: str, case: dict[str, Any] | None = None, **details: Any) -> Reply:
        """Answer a request: `turn`, `outputs` or `costs`."""
        from osteolens.bench.results import Case

        if do == "costs":
            idle_percent = round(100 * self.idle_cpu_s / self.idle_s, 3)
            return {"peak_rss_mib": peak_rss_mib(), "pss_mib": pss_mib(), "idle_cpu_percent": idle_percent}
        about = Case.model_validate(case)
        return self._turn(about, **details) if do == "turn" else self._outputs(about, **details)

    def _turn(self, case: "Case", start: int, calls: int, warm_up: int) -> Reply:
        """Latencies of some calls."""
        for call in self.subject.calls(case, start, warm_up):
            call()
        latencies = []
        for call in self.subject.calls(case, start, calls):
            before = time.perf_counter()
            call()
            latencies.append((time.perf_counter() - before) * 1000)
        return {"latencies_ms": latencies}

    def _outputs(self, case: "Case", into: str) -> Reply:
        """Write the answers for every film into a file."""
        self.subject.outputs(case).save(Path(into))
        return {}


def peak_rss_mib() -> float:
    """Largest resident memory of this program, in MiB."""
    # ru_maxrss also counts what the parent had when it started us, VmHWM does not.
    high_water = _kibibytes(Path("/proc/self/status"), "VmHWM:")
    if high_water is not None:
        return round(high_water / 1024, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1)


def pss_mib() -> float | None:
    """Resident memory, pages that other processes have as well in part, in MiB; None where the system does not tell."""
    kibibytes = _kibibytes(Path("/proc/self/smaps_rollup"), "Pss:")
    return None if kibibytes is None else round(kibibytes / 1024, 1)


def _kibibytes(path: Path, field: str) -> int | None:
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), None)


if __name__ == "__main__":
    main()
