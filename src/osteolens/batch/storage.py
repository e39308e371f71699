"""The database file of a batch: its tables, its lock, and what may go wrong with a disk."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from osteolens import files
from osteolens.batch.rows import COLUMNS
from osteolens.errors import BatchError, FolderInUse, OtherBatch
from osteolens.schema import NO_FINDING

DATABASE, LOCK = "progress.sqlite", "progress.lock"
FORMAT = 1

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)

_TYPES = {"text": "TEXT", "real": "REAL", "integer": "INTEGER", "boolean": "INTEGER"}
OWN = {
    "key": "BLOB NOT NULL",  # the file's name as bytes: not every name is text
    "mtime_ns": "INTEGER",
    "facts": "TEXT NOT NULL",
    "carried": "TEXT NOT NULL",
    "shares": "TEXT",
    "fused_shares": "TEXT",
    "border": "TEXT",  # the label from which on a film counts as ill; none in answers from before it
    "call": "INTEGER NOT NULL",
}
"""Columns of the journal alone, beside those of the results."""

_COLUMNS = OWN | {column.name: _TYPES[column.kind] for column in COLUMNS}
_TABLES = (
    f"CREATE TABLE rows ({', '.join(map(' '.join, _COLUMNS.items()))}, PRIMARY KEY (key, id, model))",
    "CREATE INDEX by_content ON rows (sha256, model)",
    "CREATE TABLE identity (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE cards (model TEXT PRIMARY KEY, version TEXT NOT NULL, sha256 TEXT NOT NULL)",
    "CREATE TABLE names (kind TEXT, name TEXT, PRIMARY KEY (kind, name))",
    "CREATE TABLE calls "
    "(number INTEGER PRIMARY KEY, started TEXT NOT NULL, ended TEXT, status INTEGER, facts TEXT NOT NULL)",
)
_VIEW = (
    # For the page: `share` is the probability of being ill in the leading part, of the border and the labels after it.
    "CREATE VIEW answers AS SELECT *, (SELECT SUM(each.value) FROM json_each(leading) AS each WHERE each.id >= IFNULL("
    "(SELECT first.id FROM json_each(leading) AS first WHERE first.key = border), "
    "(SELECT MAX(last.id) FROM json_each(leading) AS last))) AS share FROM (SELECT *, "
    "CASE finding_from WHEN 'fused' THEN fused_shares WHEN 'image' THEN shares END AS leading "
    "FROM rows WHERE status = 'answered')"
)


def lock(folder: Path) -> IO[bytes]:
    """Keep every other batch out of a folder until the file that is returned is closed.

    Raises:
        FolderInUse: Another batch is at work there.
    """
    try:
        return files.lock(folder / LOCK)
    except BlockingIOError:
        raise FolderInUse(f"another batch writes to {folder}: wait for it, or give another --out") from None


def forget(folder: Path) -> None:
    """Delete the database of a folder."""
    for suffix in ("", "-wal", "-shm"):
        (folder / f"{DATABASE}{suffix}").unlink(missing_ok=True)


def connect(folder: Path, identity: Mapping[str, Any]) -> sqlite3.Connection:
    """Open a folder's database, or make it.

    Args:
        folder: Where it is.
        identity: What all its rows have in common.

    Raises:
        OtherBatch: Its rows have something else in common.
        BatchError: It cannot be written, or is none.
    """
    with storing(folder):
        # Isolation None: a statement is a transaction by itself, unless this package begins one.
        database = sqlite3.connect(folder / DATABASE, isolation_level=None)
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        # NORMAL: what was committed is with the operating system, so that it survives our being killed at any moment.
        # Only when the machine itself goes down are the last commits lost (never the database): those films are
        # answered again. FULL would wait for the disk after every film, for nothing more than that.
        database.execute("PRAGMA synchronous = NORMAL")
        # Waits for the disk every 16 MB, not 4: no film is sent meanwhile.
        database.execute("PRAGMA wal_autocheckpoint = 4000")
        expected = {"format": FORMAT, **identity}
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'identity'").fetchone():
            with transaction(database):
                for table in _TABLES:
                    database.execute(table)
                facts = [(name, json.dumps(value)) for name, value in expected.items()]
                database.executemany("INSERT INTO identity VALUES (?, ?)", facts)
        _renew(database)
        stored = _identity(folder, database)
    _compare(folder, stored, expected)
    return database


def _renew(database: sqlite3.Connection) -> None:
    """Bring the tables of an earlier version up to this one's columns; its answers came without evidence."""
    present = {row["name"] for row in database.execute("PRAGMA table_info(rows)")}
    missing = [name for name in _COLUMNS if name not in present]
    with transaction(database):
        for name in missing:
            database.execute(f"ALTER TABLE rows ADD COLUMN {name} {_COLUMNS[name]}")
        if "finding" in missing:
            change = "UPDATE rows SET finding = ?, finding_from = 'none' WHERE status = 'answered'"
            database.execute(change, [NO_FINDING])
        database.execute("DROP VIEW IF EXISTS answers")
        database.execute(_VIEW)


def _identity(folder: Path, database: sqlite3.Connection) -> dict[str, Any]:
    try:
        return {row["name"]: json.loads(row["value"]) for row in database.execute("SELECT * FROM identity")}
    except json.JSONDecodeError as error:
        raise trouble(folder, error) from error


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Several statements at once, all or none."""
    database.execute("BEGIN")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Give SQLite's errors a message for people."""
    try:
        yield
    except sqlite3.Error as error:
        raise trouble(folder, error) from error


def trouble(folder: Path, error: Exception) -> BatchError:
    """The message about an error with a folder's database, with the way out."""
    code = getattr(error, "sqlite_errorcode", None)
    # An extended code has its kind in the lowest byte. A plain SQLITE_ERROR: a table or column is not there.
    if code is None or code & 0xFF in _DAMAGE:
        return BatchError(
            f"{folder / DATABASE} is damaged: {error}; --fresh starts again in this folder (keep a copy of "
            f"{folder / 'results.csv'} if you need it), or give another --out"
        )
    return BatchError(
        f"{folder / DATABASE} cannot be written: {error}; when that is fixed (is the disk full?), the same command "
        "goes on"
    )


def _compare(folder: Path, stored: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    names = sorted(name for name in stored.keys() | expected.keys() if stored.get(name) != expected.get(name))
    if names:
        before, now = (", ".join(f"{name} {_text(facts.get(name))}" for name in names) for facts in (stored, expected))
        raise OtherBatch(
            f"{folder} holds a batch with {before}; this call says {now}. Give the same options to go on with it, "
            "another --out, or --fresh to forget it"
        )


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
