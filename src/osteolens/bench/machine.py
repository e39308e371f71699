"""What a benchmark ran on, and who else used it meanwhile."""

import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import psutil

from osteolens import processor
from osteolens.bench.results import Machine

_PACKAGES = {
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "opencv": "opencv-python-headless",
    "pillow": "pillow",
    "numpy": "numpy",
}
_BUSY_FIELDS = ("user", "nice", "system", "irq", "softirq", "steal")


def machine() -> Machine:
    """This machine and the libraries that do the work."""
    return Machine(
        cpu=processor.name(),
        cores=processor.cores(),
        instruction_sets=processor.instruction_sets(),
        memory_gib=round(psutil.virtual_memory().total / 1024**3, 1),
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        python=platform.python_version(),
        packages={name: number for name, package in _PACKAGES.items() if (number := _version(package))},
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class Watch:
    """How busy other programs kept the machine since this was made.

    Args:
        ours: Process ids that belong to the benchmark, beside this process; they must still run at `others_percent`.
    """

    def __init__(self, ours: Sequence[int]) -> None:
        self._ours = [psutil.Process(pid) for pid in (os.getpid(), *ours)]
        self._start = self._now()

    def others_percent(self) -> float:
        """Share of all cores that went to others, 0 to 100."""
        (clock, busy, own), (clock_before, busy_before, own_before) = self._now(), self._start
        theirs = (busy - busy_before) - (own - own_before)
        return max(0.0, 100 * theirs / ((clock - clock_before) * (os.cpu_count() or 1)))

    def _now(self) -> tuple[float, float, float]:
        times = psutil.cpu_times()
        own = (process.cpu_times() for process in self._ours)
        return (
            time.perf_counter(),
            sum(getattr(times, name, 0.0) for name in _BUSY_FIELDS),
            sum(spent.user + spent.system for spent in own),
        )
