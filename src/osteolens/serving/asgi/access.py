"""A line for each request: who, what, status, milliseconds. Never a film, an answer or a query."""

import os
import time
from itertools import pairwise
from pathlib import Path

from starlette.types import Scope

LARGEST, KEPT = 10_000_000, 5
"""Bytes of the file, and older files beside it, as log4j2.xml has it for TorchServe."""


class AccessLog:
    """A file to which several processes append whole lines.

    (`logging` takes 50 microseconds for a line, as long as all else that is done for a request beside the film.)
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, -1
        self._second, self._stamp = 0, ""
        self.open()

    def open(self) -> None:
        """Go on in the file that has the name now."""
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, scope: Scope, status: int, seconds: float) -> None:
        """Add the line of a request."""
        now = time.time()
        if int(now) != self._second:
            self._second, self._stamp = int(now), time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now))
        host, port = scope["client"] or ("", 0)
        what = f"{scope['method']} {scope['raw_path'].decode('latin-1')} HTTP/{scope['http_version']}"
        line = f'{self._stamp},{now % 1 * 1000:03.0f} /{host}:{port} "{what}" {status} {seconds * 1000:.0f}\n'
        os.write(self._file, line.encode())


def make_room(path: Path) -> bool:
    """Rename a full file, and delete the oldest; whether it was full."""
    if not path.exists() or path.stat().st_size <= LARGEST:
        return False
    names = [path, *(path.with_name(f"{path.stem}.{number}{path.suffix}") for number in range(1, KEPT + 1))]
    for newer, older in reversed(list(pairwise(names))):
        if newer.exists():
            newer.replace(older)
    return True
