"""The journal of a batch: one SQLite database, in which every answer is safe as soon as it is there.

The primary key (file, table's id, model) makes it impossible that anything is there twice.
"""

import json
import math
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from osteolens.batch.films import Film
from osteolens.batch.rows import COLUMNS, FINAL, Row, Status, now
from osteolens.batch.storage import OWN, connect, forget, lock, storing, transaction, trouble
from osteolens.files import as_text

_ALL = (*OWN, *(column.name for column in COLUMNS))
_COPIED = tuple(
    column.name
    for column in COLUMNS
    if column.name not in ("file", "path", "id", "sha256", "bytes", "model", "attempts", "answered_at")
)


@dataclass(frozen=True)
class Known:
    """The journal's entry for a film and model.

    Attributes:
        final: Whether the answer holds while the content stays the same.
        same_file: Whether the file's size and time are those that were noted.
        same_facts: Whether the patient's facts are the same.
        same_call: Whether this call wrote it.
        pending: Whether another version of the model must answer.
        carried: The table's other columns, as JSON.
        sha256: SHA-256 of the content that was answered; None where it could not be read.
    """

    final: bool
    same_file: bool
    same_facts: bool
    same_call: bool
    pending: bool
    carried: str
    sha256: str | None


class Journal:
    """The journal of one output folder; a context manager that keeps every other batch out of the folder.

    Args:
        folder: Made if it is not there.
        identity: What all answers in the folder have in common: models and options.
        fresh: Forget what an earlier batch has done here.

    Raises:
        FolderInUse: Another batch runs on this folder.
        OtherBatch: The folder's journal has another identity.
        BatchError: The journal cannot be written (disk full), or is none.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = lock(folder)
        try:
            if fresh:
                forget(folder)
            self._database = connect(folder, identity)
            with storing(folder):
                begin = "INSERT INTO calls (started, facts) VALUES (?, '{}')"
                self.call = self._database.execute(begin, [now()]).lastrowid
                self._names = {(row[0], row[1]) for row in self._database.execute("SELECT kind, name FROM names")}
                self.cards = {row[0]: (row[1], row[2]) for row in self._database.execute("SELECT * FROM cards")}
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._lock.close()
        if isinstance(error, sqlite3.Error | json.JSONDecodeError):
            raise trouble(self.folder, error) from error

    def end(self, status: int, facts: Mapping[str, Any]) -> None:
        """Note how this call ended."""
        with storing(self.folder):
            self._database.execute(
                "UPDATE calls SET ended = ?, status = ?, facts = ? WHERE number = ?",
                [now(), status, json.dumps(facts), self.call],
            )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make the rows of the block one transaction: all of them are safe at its end, or none."""
        with storing(self.folder), transaction(self._database):
            yield

    def known(self, film: Film, model: str) -> Known | None:
        """The entry for a film and model; None for a new one."""
        query = "SELECT status, bytes, mtime_ns, facts, carried, card_sha256, sha256, call FROM rows"
        row = self._database.execute(f"{query} WHERE key = ? AND id = ? AND model = ?", [*film.key, model]).fetchone()
        if row is None:
            return None
        status, size, mtime_ns, facts, carried, card, sha256, call = row
        current = card is None or card == self.cards.get(model, ("", ""))[1]
        return Known(
            final=status in FINAL and current,
            same_file=(size, mtime_ns) == (film.size, film.mtime_ns),
            same_facts=_same(json.loads(facts), film.facts),
            same_call=call == self.call,
            pending=status == "pending",
            carried=carried,
            sha256=sha256,
        )

    def note(self, film: Film, model: str) -> None:
        """Note a file's new time or a table's new columns; the answer stays."""
        carried = as_json(film.carried)
        with storing(self.folder):
            self._note_names("carried", film.carried)
            self._database.execute(
                "UPDATE rows SET bytes = ?, mtime_ns = ?, carried = ?, call = ? WHERE key = ? AND id = ? AND model = ?",
                [film.size, film.mtime_ns, carried, self.call, *film.key, model],
            )

    def record(
        self, film: Film, model: str, row: Row, shares: Mapping[str, float], fused_shares: Mapping[str, float]
    ) -> None:
        """Write a row, in place of an earlier one; when this returns it survives our being killed.

        Args:
            film: Which film.
            model: The model's name.
            row: Its other columns.
            shares: Probabilities by label; empty without an answer.
            fused_shares: Those with the patient's facts.
        """
        values = row | {
            "file": as_text(film.file),
            "path": as_text(film.path),
            "id": film.id,
            "bytes": film.size,
            "model": model,
            **film.facts,
            "key": film.key[0],
            "mtime_ns": film.mtime_ns,
            "facts": as_json(film.facts),
            "carried": as_json(film.carried),
            "shares": json.dumps(shares) if shares else None,
            "fused_shares": json.dumps(fused_shares) if fused_shares else None,
            "call": self.call,
        }
        with storing(self.folder):
            self._note_names("carried", film.carried)
            self._note_names("label", shares)
            self._note_names("fused_label", fused_shares)
            # SQLite takes valid text alone, and an error message may quote a file name that is none.
            cells = [as_text(cell) if isinstance(cell, str) else cell for cell in map(values.get, _ALL)]
            self._database.execute(_INSERT, cells)

    def copy_of(self, film: Film, sha256: str, model: str) -> tuple[Row, dict[str, float], dict[str, float]] | None:
        """A final row of the same content under another name, answered with the same facts; None without one."""
        rows = self._database.execute(
            "SELECT * FROM rows WHERE sha256 = ? AND model = ? AND facts = ? AND status IN (?, ?) LIMIT 1",
            [sha256, model, as_json(film.facts), *FINAL],
        )
        row = rows.fetchone()
        if row is None or row["card_sha256"] not in (None, self.cards.get(model, ("", ""))[1]):
            return None
        copied: Row = {name: row[name] for name in _COPIED}
        copied |= {"border": row["border"], "sha256": sha256, "attempts": 0, "answered_at": now()}
        return copied, json.loads(row["shares"] or "{}"), json.loads(row["fused_shares"] or "{}")

    def set_card(self, model: str, version: str, sha256: str) -> int:
        """Note which card a model has from now on; rows of another one become pending.

        Returns:
            The number of those rows.
        """
        with storing(self.folder), transaction(self._database):
            self._database.execute("INSERT OR REPLACE INTO cards VALUES (?, ?, ?)", [model, version, sha256])
            outdated = self._database.execute(
                "UPDATE rows SET status = 'pending' WHERE model = ? AND card_sha256 != ?", [model, sha256]
            )
        self.cards[model] = (version, sha256)
        return outdated.rowcount

    def pending(self) -> Iterator[list[Film]]:
        """Films whose answers are outdated, some at a time; they may be recorded while this goes on."""
        query = (
            "SELECT DISTINCT key, id, file, facts, carried FROM rows WHERE status = 'pending' AND (key, id) > (?, ?) "
            "ORDER BY key, id LIMIT 500"
        )
        last: tuple[bytes, str] = (b"", "")
        while rows := self._database.execute(query, last).fetchall():
            yield [
                Film(os.fsdecode(key), file, film_id, json.loads(facts), json.loads(carried))
                for key, film_id, file, facts, carried in rows
            ]
            last = (rows[-1]["key"], rows[-1]["id"])

    def counts(self) -> dict[tuple[str, Status], int]:
        """Number of rows by model and status."""
        query = "SELECT model, status, COUNT(*) FROM rows GROUP BY model, status ORDER BY model, status"
        return {(model, status): count for model, status, count in self._database.execute(query)}

    def names(self, kind: str) -> tuple[str, ...]:
        """Labels (`label`, `fused_label`) or carried columns (`carried`) that rows have, as they first came."""
        query = "SELECT name FROM names WHERE kind = ? ORDER BY rowid"
        return tuple(name for (name,) in self._database.execute(query, [kind]))

    def select(self, query: str, values: Sequence[Any] = ()) -> Iterable[sqlite3.Row]:
        """Any query on `rows` and `calls`, for tables and reports; gives rows one by one."""
        return self._database.execute(query, values)

    def _note_names(self, kind: str, names: Iterable[str]) -> None:
        for name in names:
            if (kind, name) not in self._names:
                self._database.execute("INSERT OR IGNORE INTO names VALUES (?, ?)", [kind, as_text(name)])
                self._names.add((kind, name))


_INSERT = f"INSERT OR REPLACE INTO rows ({', '.join(_ALL)}) VALUES ({', '.join('?' * len(_ALL))})"  # noqa: S608


def as_json(texts: Mapping[str, str]) -> str:
    """Texts by name, in a form that is the same whenever they are the same."""
    return json.dumps(texts, sort_keys=True) if texts else "{}"


def _same(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Whether facts say the same: 63.0, as earlier versions read it from Parquet, is 63."""
    return before.keys() == now.keys() and all(
        before[name] == text or _number(before[name]) == _number(text) for name, text in now.items()
    )


def _number(text: str) -> float:
    """NaN, which equals nothing, for what is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
