"""What is done: the Parquet files of DIR/results.parquet/, each written whole, together the table of results.

Of every film a partition also says (in the file's metadata) by which name and in which state it was answered, so that
the next call knows without reading the rows.
"""

# mypy: disable-error-code="import-untyped"
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from osteolens.batch.rows import FINAL
from osteolens.errors import BatchError

FOLDER = "results.parquet"
NAME, STATE = "_name", "_state"
"""Columns of the films' hashes; they stand in a partition's metadata and not among its columns."""
_METADATA = b"osteolens"


@dataclass(frozen=True, slots=True)
class Known:
    """What a partition says of a film.

    Attributes:
        partition: Its number.
        state: What the film was like; see `osteolens.batch.answerers.ray.films.SCHEMA`.
        final: Whether no model failed on it.
    """

    partition: int
    state: bytes
    final: bool


@dataclass(frozen=True)
class Partitions:
    """The partitions of one output folder.

    Args:
        folder: Of the results; made with the first partition.
        models: Rows of each film.
    """

    folder: Path
    models: int

    def path(self, number: int) -> Path:
        """Where a partition is."""
        return self.folder / f"part-{number:06}.parquet"

    def numbers(self) -> list[int]:
        """The partitions that are there, in order."""
        return sorted(int(path.stem.removeprefix("part-")) for path in self.folder.glob("part-*.parquet"))

    def known(self) -> dict[bytes, Known]:
        """All films that have rows, by name.

        Raises:
            BatchError: A partition cannot be read.
        """
        films: dict[bytes, Known] = {}
        for number in self.numbers():
            for name, state, final in self._films(number):
                films[bytes.fromhex(name)] = Known(number, bytes.fromhex(state), final)
        return films

    def columns(self, number: int) -> list[str]:
        """The columns of a partition."""
        with _reading(self.path(number)):
            names: list[str] = parquet.read_schema(self.path(number)).names
        return names

    def read(self, number: int) -> pa.Table:
        """A partition's rows with the films' hashes."""
        films, table = self._films(number), self._table(number)
        names = [bytes.fromhex(name) for name, _, _ in films for _ in range(self.models)]
        states = [bytes.fromhex(state) for _, state, _ in films for _ in range(self.models)]
        table = table.append_column(NAME, pa.array(names, pa.binary()))
        return table.append_column(STATE, pa.array(states, pa.binary())).replace_schema_metadata(None)

    def write(self, number: int, rows: Sequence[pa.Table], schema: pa.Schema) -> None:
        """Put new rows into a partition, in place of those that it has of the same films; all or nothing.

        Args:
            number: Of the partition.
            rows: All models' rows of some films, with the films' hashes.
            schema: The columns of the results.

        Raises:
            BatchError: It cannot be written (disk full).
        """
        tables = [in_schema(table, schema) for table in rows]
        if self.path(number).exists():
            renewed = pa.array([name for table in tables for name in table[NAME].to_pylist()], pa.binary())
            old = in_schema(self.read(number), schema)
            tables.append(old.filter(pc.invert(pc.is_in(old[NAME], renewed))))
        table = pa.concat_tables(tables).sort_by([(name, "ascending") for name in ("path", "id", NAME, "model")])
        self._save(number, table)

    def rows(self) -> Iterator[pa.Table]:
        """The partitions' rows, one partition after the other."""
        for number in self.numbers():
            yield self._table(number).replace_schema_metadata(None)

    def _save(self, number: int, table: pa.Table) -> None:
        films = _described(table, self.models)
        table = table.drop_columns([NAME, STATE]).replace_schema_metadata({_METADATA: json.dumps(films)})
        path = self.path(number)
        draft = path.with_name(f".{path.name}.draft")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            parquet.write_table(table, draft, compression="zstd")
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise BatchError(
                f"{path} cannot be written: {error.strerror or error}; when that is mended (is the disk full?), the "
                "same command goes on"
            ) from error

    def _films(self, number: int) -> list[tuple[str, str, bool]]:
        """Name, state, and whether all is final, of a partition's films in the order of their rows."""
        path = self.path(number)
        with _reading(path):
            metadata = parquet.read_metadata(path).metadata or {}
        if _METADATA not in metadata:
            raise BatchError(f"{path} is not a partition of a batch; give another --out, or move it away")
        with _reading(path):
            films: list[tuple[str, str, bool]] = json.loads(metadata[_METADATA])
        return films

    def _table(self, number: int) -> pa.Table:
        with _reading(self.path(number)):
            return parquet.read_table(self.path(number), partitioning=None)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say how to go on where a partition is damaged."""
    try:
        yield
    except (OSError, pa.ArrowException, ValueError) as error:
        raise BatchError(f"{path} is damaged ({error}); delete it to ask about its films again") from error


def in_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with all columns of a schema, those that it has not empty, and the films' hashes."""
    columns = {
        field.name: table[field.name] if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    }
    return pa.table(columns | {NAME: table[NAME], STATE: table[STATE]})


def _described(table: pa.Table, models: int) -> list[tuple[str, str, bool]]:
    """What a partition says of its films.

    Raises:
        AssertionError: A film has not one row per model: nothing is written then.
    """
    names, states, statuses = (table[column].to_pylist() for column in (NAME, STATE, "status"))
    if len(names) != len(set(names)) * models:
        raise AssertionError(f"{len(names)} rows of {len(set(names))} films and {models} models")
    return [
        (names[first].hex(), states[first].hex(), all(status in FINAL for status in statuses[first : first + models]))
        for first in range(0, len(names), models)
    ]
