"""What a benchmark ran on, and who else used it meanwhile."""

import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from osteolens.bench.results import Machine

_PACKAGES = {
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "opencv": "opencv-python-headless",
    "pillow": "pillow",
    "numpy": "numpy",
}
_INSTRUCTION_SETS = (
    "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
    "neon", "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
_BUSY_FIELDS = ("user", "nice", "system", "irq", "softirq", "steal")


def machine() -> Machine:
    """This machine and the libraries that do the work."""
    facts = _cpu_facts()
    flags = facts.get("flags", facts.get("Features", "")).split()
    return Machine(
        cpu=facts.get("model name") or platform.processor() or platform.machine(),
        cores=cores(),
        instruction_sets=tuple(name for name in _INSTRUCTION_SETS if name in flags),
        memory_gib=round(psutil.virtual_memory().total / 1024**3, 1),
        system=f"{platform.system()} {platform.release()} ({platform.machine()})",
        python=platform.python_version(),
        packages={name: number for name, package in _PACKAGES.items() if (number := _version(package))},
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_facts() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo; none where the system has no such file."""
    path = Path("/proc/cpuinfo")
    first = path.read_text().split("\n\n")[0] if path.exists() else ""
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


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
