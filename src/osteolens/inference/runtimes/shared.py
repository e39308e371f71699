"""A model in one of several worker processes, which share a machine's cores."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from osteolens.inference.runtimes.base import Prediction, Runtime


class SharedRuntime:
    """Many threads while no other worker is busy, few while one is.

    A lone film is answered sooner with all cores; as soon as every worker has work, threads that wait for each other
    cost more than they bring.

    Args:
        alone: Answers while no other worker is busy.
        among_others: Answers otherwise.
        lock: A file that all workers share; it is made where it is missing.
    """

    def __init__(self, alone: Runtime, among_others: Runtime, lock: Path) -> None:
        self.alone, self.among_others = alone, among_others
        self._current = among_others
        self._lock = lock.open("a")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Count this worker as busy; predictions in the block use as many threads as cores are free."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._current = self.alone
        except BlockingIOError:
            self._current = self.among_others
        fcntl.flock(self._lock, fcntl.LOCK_SH)  # all busy workers share it, so that no other gets it exclusively
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def predict(self, films: NDArray[np.uint8]) -> Prediction:
        """Answer a batch of prepared films, uint8 [N, 1, H, W]."""
        return self._current.predict(films)
