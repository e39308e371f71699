"""What has been done with an archive's films, kept so that a kill at any moment loses and doubles nothing.

Films and studies are kept as SHA-256 of their identifiers, which is enough to know them again; only a film on the
dead-letter list is named, by its SOP Instance UID, as somebody must find it. No element of a header is kept.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from osteolens.errors import ClientError
from osteolens.files import lock, write_text

DATABASE, LOCK, DEAD_LETTERS = "ledger.sqlite", "ledger.lock", "dead-letters.json"
MAX_TRIES = 5
_TABLES = """
CREATE TABLE IF NOT EXISTS films (
    key TEXT PRIMARY KEY, state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, uid TEXT, reason TEXT, at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS studies (key TEXT PRIMARY KEY, objects INTEGER NOT NULL);
"""


class Ledger:
    """The ledger of one folder; a context manager that keeps other processes out of it.

    Args:
        folder: Made if it is not there, closed to other users.
        scope: What answers count for: the archive's address and the model. Another scope has films of its own.

    Raises:
        ClientError: Another process uses the folder, or its database cannot be used.
    """

    def __init__(self, folder: Path, scope: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._scope = folder, scope
        try:
            self._lock = lock(folder / LOCK)
        except BlockingIOError:
            raise ClientError(f"another process works with {folder}: wait for it, or give another --out") from None
        with self._storing():
            self._database = sqlite3.connect(folder / DATABASE, isolation_level=None)
            # What was committed survives our being killed; see osteolens.batch.storage.
            self._database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {_TABLES}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._lock.close()

    def is_settled(self, uid: str) -> bool:
        """Whether a film has its objects, or is on the dead-letter list."""
        query = "SELECT 1 FROM films WHERE key = ? AND state != 'failed'"
        with self._storing():
            return self._database.execute(query, [self._key(uid)]).fetchone() is not None

    def settle(self, uid: str) -> None:
        """Note that all objects of a film are stored."""
        self._write(uid, "stored", None)

    def bury(self, uid: str, reason: str) -> None:
        """Put a film on the dead-letter list: it is not tried again."""
        self._write(uid, "dead", reason)
        self._list_dead()

    def fail(self, uid: str, reason: str) -> bool:
        """Note a try that failed; whether it was the last, so that the film is on the dead-letter list now."""
        with self._storing():
            row = self._database.execute("SELECT tries FROM films WHERE key = ?", [self._key(uid)]).fetchone()
        if row and row[0] + 1 >= MAX_TRIES:
            self.bury(uid, f"{reason}; {MAX_TRIES} tries")
            return True
        self._write(uid, "failed", None)
        return False

    def revive(self) -> None:
        """Empty the dead-letter list, so that its films are tried again."""
        with self._storing():
            self._database.execute("DELETE FROM films WHERE state = 'dead'")
            self._database.execute("DELETE FROM studies")
        self._list_dead()

    def is_unchanged(self, study: str, objects: int | None) -> bool:
        """Whether a study has as many objects as when all its films were settled."""
        with self._storing():
            query = "SELECT objects FROM studies WHERE key = ?"
            row = self._database.execute(query, [self._key(study)]).fetchone()
        return row is not None and objects == row[0]

    def close_study(self, study: str, objects: int | None) -> None:
        """Note that all films of a study are settled, and how many objects it had before they were looked at."""
        if objects is not None:
            with self._storing():
                self._database.execute("INSERT OR REPLACE INTO studies VALUES (?, ?)", [self._key(study), objects])

    def _key(self, uid: str) -> str:
        return hashlib.sha256(f"{self._scope}\n{uid}".encode()).hexdigest()

    def _write(self, uid: str, state: str, reason: str | None) -> None:
        statement = (
            "INSERT INTO films VALUES (?, ?, 1, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
            "state = excluded.state, tries = tries + 1, uid = excluded.uid, reason = excluded.reason, at = excluded.at"
        )
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self._storing():
            named = uid if state == "dead" else None
            self._database.execute(statement, [self._key(uid), state, named, reason, at])

    def _list_dead(self) -> None:
        query = "SELECT uid, reason, at FROM films WHERE state = 'dead' ORDER BY at, uid"
        names = ("sop_instance_uid", "reason", "at")
        with self._storing():
            letters = [dict(zip(names, row, strict=True)) for row in self._database.execute(query)]
        write_text(self._folder / DEAD_LETTERS, json.dumps(letters, indent=2) + "\n")

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ClientError(
                f"{self._folder / DATABASE} cannot be used: {error}; free the disk, or delete the file: what is "
                "in the archive already is not stored twice"
            ) from error
