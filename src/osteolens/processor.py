"""This machine's processor: its name, its cores, the instructions that models gain by."""

import os
import platform
from pathlib import Path

INSTRUCTION_SETS = (
    "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
    "neon", "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
INT8 = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})
"""Any of them multiplies int8 faster than fp32."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def name() -> str:
    """The processor's name, or at least its kind."""
    return _facts().get("model name") or platform.processor() or platform.machine()


def instruction_sets() -> tuple[str, ...]:
    """Which of `INSTRUCTION_SETS` it has; none where the system does not say."""
    facts = _facts()
    flags = facts.get("flags", facts.get("Features", "")).split()
    return tuple(instructions for instructions in INSTRUCTION_SETS if instructions in flags)


def _facts() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo; none where the system has no such file."""
    path = Path("/proc/cpuinfo")
    first = path.read_text().split("\n\n")[0] if path.exists() else ""
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
