"""Limits per person, by rate and by number at once: pictures cost time and memory, and nobody may take all of it.

The processes of the app share small files below settings.DATA_FOLDER. A lock on one of them ends with its process, so
nothing has to be tidied up.
"""

import fcntl
import math
import os
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from accounts.models import User
from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy
from project.errors import TooMany

_BUCKET = struct.Struct("<dd")
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Limit:
    """Limit of one kind of work.

    Attributes:
        name: Start of the lock files' names.
        what: Plural noun for messages.
        at_once: Number that one person may have under way; further ones wait.
        patience: Seconds that they wait before they are refused.
    """

    name: str
    what: str | Promise
    at_once: int
    patience: float


STORED = Limit("stored", gettext_lazy("pictures"), 8, 5)
"""Pictures that are sent as they lie there."""
DRAWN = Limit("drawn", gettext_lazy("overlays, reports and region files"), 3, 10)
"""Pictures that are made on request."""
READ = Limit("read", gettext_lazy("uploads"), 4, 20)
"""Uploads that are decoded."""
_LARGE = Limit("large", gettext_lazy("large pictures"), 1, 20)
LARGE_PIXELS = 16_000_000
"""Pictures with more pixels are decoded one at a time in the whole app: one may take a gigabyte."""


def check_rate(user: User, limit: Limit, per_minute: int) -> None:
    """Count a request; after a burst of `per_minute`, so many are free again in each minute.

    Raises:
        TooMany: None is free.
    """
    with _opened(f"{limit.name}-{user.pk}.rate") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        content, now = stream.read(), time.time()
        free, then = _BUCKET.unpack(content) if len(content) == _BUCKET.size else (float(per_minute), now)
        # The clock may have been set back meanwhile.
        free = min(float(per_minute), free + max(0.0, now - then) * per_minute / 60)
        if free < 1:
            wait = math.ceil((1 - free) * 60 / per_minute)
            message = gettext("more than %(most)s %(what)s in a minute") % {"most": per_minute, "what": limit.what}
            raise TooMany(message, gettext("wait %(seconds)s s") % {"seconds": wait}, wait)
        stream.seek(0)
        stream.write(_BUCKET.pack(free - 1, now))


@contextmanager
def under_way(user: User, limit: Limit, pixels: int | None = 0) -> Iterator[None]:
    """Work that counts towards a person's limit, and as one of the whole app's if its picture is large.

    Args:
        user: The person who sent the request.
        limit: Kind of work.
        pixels: Number in the picture; None before it is known, which counts as large.

    Raises:
        TooMany: No place became free in time.
    """
    with ExitStack() as places:
        places.enter_context(_place(f"{limit.name}-{user.pk}", limit))
        if pixels is None or pixels > LARGE_PIXELS:
            places.enter_context(_place(_LARGE.name, _LARGE))
        yield


@contextmanager
def _place(name: str, limit: Limit) -> Iterator[None]:
    """One of `limit.at_once` locked files."""
    end = time.monotonic() + limit.patience
    while True:
        for number in range(limit.at_once):
            with _opened(f"{name}.{number}") as stream:
                if _locked(stream):
                    yield
                    return
        if time.monotonic() >= end:
            message = gettext("%(count)s %(what)s are under way already")
            raise TooMany(
                message % {"count": limit.at_once, "what": limit.what},
                gettext("wait until one is done"),
                max(1, math.ceil(limit.patience)),
            )
        time.sleep(_LOOK_SECONDS)


def _locked(stream: BinaryIO) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _opened(name: str) -> BinaryIO:
    folder: Path = settings.DATA_FOLDER / "limits"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Not truncated: the content is read under the lock. The lock ends with the descriptor, also of a killed process.
    return os.fdopen(os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
