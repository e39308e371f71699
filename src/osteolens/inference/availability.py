"""Whether the packages that further explanations need are here: a server may still be installing them."""

import fcntl
import importlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from osteolens.errors import ExplanationMissing, ExplanationNotReady

MARKER = Path(sys.prefix) / "osteolens-explain.json"
"""Locked while packages are being installed into this environment; `until` in it is when they are expected."""
SHORTEST_WAIT = 10
_HINT = "explain=gradcam, the default, needs nothing more"


@contextmanager
def needs_packages() -> Iterator[None]:
    """Imports in the block need the extra `explain` of the installation.

    Raises:
        ExplanationNotReady: It is being installed.
        ExplanationMissing: It is not installed; the hint says how to get it.
    """
    wait = seconds_left(MARKER)
    if wait is not None:
        raise ExplanationNotReady(
            f"this explanation is ready in about {wait} s: its packages are being installed", _HINT, wait
        )
    importlib.invalidate_caches()  # they may have come since this process started
    try:
        yield
    except ImportError as error:
        extra = "explain,yolo" if "ultralytics" in str(error.name) else "explain"
        raise ExplanationMissing(
            f"this explanation needs {error.name}, which is not installed where the model runs",
            f"pip install 'osteolens[{extra}]' there; {_HINT}",
        ) from error


def seconds_left(marker: Path) -> int | None:
    """Seconds until an installation is probably done; None where none is running."""
    try:
        with marker.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                left = float(json.load(stream)["until"]) - time.time()
                return max(SHORTEST_WAIT, round(left))
    except FileNotFoundError:
        pass
    return None  # or the file of one that was killed
