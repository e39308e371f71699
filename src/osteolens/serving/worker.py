"""Sets up a worker process of either engine: its code, threads, memory and model."""

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import cv2

import osteolens
from osteolens.card import load_card
from osteolens.errors import ServerError
from osteolens.inference.reader import Reader
from osteolens.inference.runtimes import load_runtime
from osteolens.inference.runtimes.shared import SharedRuntime

WARM_UP = 4
"""Films answered before a worker is reported ready: the first ones pay for what is set up once."""

Turn = Callable[[], AbstractContextManager[None]]
"""Entered around every batch, so that the model's workers share the machine's cores."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def check_package(folder: Path) -> None:
    """Make sure that the code is the archive's own, whatever else is installed or on PYTHONPATH.

    Raises:
        ServerError: Names the folder that `osteolens` was imported from.
    """
    package = Path(osteolens.__file__).resolve()
    if not package.is_relative_to(folder.resolve()):
        raise ServerError(f"osteolens was imported from {package.parent}, not from the archive: unset PYTHONPATH")


def load_reader(folder: Path, config: Mapping[str, Any], lock: Path | None = None) -> tuple[Reader, Turn]:
    """Load an archive's model and let it answer a first film.

    Args:
        folder: The unpacked archive.
        config: The part `handler` of its model-config.yaml.
        lock: A file shared by all workers among which a film can be alone; default: those of this archive.

    Raises:
        CardError, ExportError: Card, weights and exported file do not belong together.
    """
    forget_empty_torch()
    threads = int(os.environ.get("OMP_NUM_THREADS", config["threads"]))
    limit_threads(threads)
    keep_freed_memory()
    backend, alone = config["backend"], config["threads_alone"]
    turn: Turn = nullcontext
    if backend == "eager":
        reader = Reader(folder)
    else:
        runtime = load_runtime(folder, load_card(folder), backend, threads)
        if backend != "torchscript" and alone != threads:  # PyTorch's threads are the process's, not a session's
            faster = load_runtime(folder, load_card(folder), backend, alone)
            runtime = shared = SharedRuntime(faster, runtime, lock=lock or folder / "busy.lock")
            turn = shared.turn
        reader = Reader(folder, runtime)
    for _ in range(WARM_UP):
        with turn():
            reader.warm_up()
    return reader, turn


def forget_empty_torch() -> None:
    """Let a later import look for PyTorch again where sitecustomize.py has put an empty module in its place."""
    module = sys.modules.get("torch")
    # Asked in the usual way, sitecustomize's lazy module would load all of PyTorch to answer.
    spec = object.__getattribute__(module, "__spec__") if module else None
    if spec and spec.origin is None:
        del sys.modules["torch"]


def limit_threads(threads: int) -> None:
    """Limit each worker's computing threads: workers at the libraries' defaults (all cores) starve each other."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # PyTorch reads it when it is first needed
    cv2.setNumThreads(threads)


def keep_freed_memory() -> None:
    """Let glibc keep the memory of a freed feature map instead of returning and fetching it for every film.

    The page faults took about a quarter of the model's time at 320 x 320; peak memory is the same. Other C libraries
    have no such setting.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * 1024**2)
        libc.mallopt(_M_TRIM_THRESHOLD, 256 * 1024**2)
