"""The keys of a server, in the file and with the meaning that TorchServe gives them."""

import json
import secrets
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from osteolens.files import write_text

INFERENCE, MANAGEMENT, API = "inference", "management", "API"


class Key(NamedTuple):
    """A key and when it expires, in seconds since 1970."""

    value: str
    until: float

    def fits(self, authorization: str) -> bool:
        """Whether a header `Authorization` holds it while it is valid."""
        expected = f"Bearer {self.value}".encode()
        return secrets.compare_digest(authorization.encode("utf-8", "replace"), expected) and time.time() < self.until


class Keys:
    """New keys for predictions, for management, and one that renews the others.

    Args:
        path: The file that clients read; only its owner may (the process has a umask). None turns keys off.
        minutes: How long the first two are valid.
    """

    def __init__(self, path: Path | None, minutes: float) -> None:
        self._path, self._seconds = path, 60 * minutes
        self._keys = {API: Key(secrets.token_urlsafe(24), float("inf"))}
        for kind in (MANAGEMENT, INFERENCE):
            self.renew(kind)

    @property
    def inference(self) -> Key | None:
        """What predictions need."""
        return self._keys[INFERENCE] if self._path else None

    def allow(self, kind: str, authorization: str) -> bool:
        """Whether a header `Authorization` holds the key of a kind, and the key is still valid."""
        return self._path is None or self._keys[kind].fits(authorization)

    def renew(self, kind: str) -> None:
        """Draw a new key of a kind; the old one is worthless at once."""
        self._keys[kind] = Key(secrets.token_urlsafe(24), time.time() + self._seconds)
        if self._path:
            write_text(self._path, json.dumps({kind: _entry(key) for kind, key in self._keys.items()}, indent=2) + "\n")


def _entry(key: Key) -> dict[str, str]:
    if key.until == float("inf"):
        return {"key": key.value}
    until = datetime.fromtimestamp(key.until, UTC).isoformat().replace("+00:00", "Z")
    return {"key": key.value, "expiration time": until}
