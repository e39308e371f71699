"""Bodies of requests that are under way: in the data folder, as they may be films, and gone after a crash."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

OLD_SECONDS = 3600.0
"""No request takes so long."""


@contextmanager
def folder_in_use() -> Iterator[int]:
    """Hold the folder and empty it of what dead processes left; the descriptor that the web processes inherit.

    Whoever holds it alone knows that no request is under way; next to another server, only old files go.
    """
    folder = Path(settings.FILE_UPLOAD_TEMP_DIR)
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sweep(0.0)
        except BlockingIOError:
            sweep(OLD_SECONDS)
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.set_inheritable(lock, True)
        yield lock
    finally:
        os.close(lock)


@contextmanager
def folder_alone() -> Iterator[None]:
    """Keep every server out of the folder.

    Raises:
        BlockingIOError: One is in.
    """
    lock = os.open(Path(settings.FILE_UPLOAD_TEMP_DIR), os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def sweep(older_than_seconds: float) -> int:
    """Delete files that no request needs any more; how many."""
    before = time.time() - older_than_seconds
    count = 0
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir():
        try:
            if path.stat().st_mtime <= before:
                path.unlink()
                count += 1
        except FileNotFoundError:
            continue  # its request has just ended
    return count
