"""A line for each request: who, what, status, milliseconds. Never a film, an answer or a query."""

import json
import os
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from starlette.types import Scope

from osteolens.logs import is_json

LARGEST, KEPT = 10_000_000, 5
"""Bytes of the file, and older files beside it, as log4j2.xml has it for TorchServe."""


class AccessLog:
    """A file to which several processes append whole lines.

    (`logging` takes 50 microseconds for a line, as long as all else that is done for a request beside the film.)
    """

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, -1
        self._second, self._stamp = 0, ""
        self._json = is_json()
        self.open()

    def open(self) -> None:
        """Go on in the file that has the name now."""
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, scope: Scope, status: int, seconds: float, identity: str) -> None:
        """Add the line of a request."""
        now = time.time()
        if self._json:
            line = {
                "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
                "logger": "access",
                "client": (scope["client"] or ("",))[0],
                "method": scope["method"],
                "route": scope["raw_path"].decode("latin-1"),
                "status": status,
                "ms": round(seconds * 1000),
                "request_id": identity,
            }
            os.write(self._file, json.dumps(line).encode() + b"\n")
            return
        if int(now) != self._second:
            self._second, self._stamp = int(now), time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now))
        host, port = scope["client"] or ("", 0)
        what = f"{scope['method']} {scope['raw_path'].decode('latin-1')} HTTP/{scope['http_version']}"
        text = f'{self._stamp},{now % 1 * 1000:03.0f} /{host}:{port} "{what}" {status} {seconds * 1000:.0f}\n'
        os.write(self._file, text.encode())


def make_room(path: Path) -> bool:
    """Rename a full file, and delete the oldest; whether it was full."""
    if not path.exists() or path.stat().st_size <= LARGEST:
        return False
    names = [path, *(path.with_name(f"{path.stem}.{number}{path.suffix}") for number in range(1, KEPT + 1))]
    for newer, older in reversed(list(pairwise(names))):
        if newer.exists():
            newer.replace(older)
    return True
