"""Reads tables of films row by row: CSV and Parquet."""

# mypy: disable-error-code="import-untyped"
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from osteolens.batch.errors import BatchError

FILE, ID = "file", "id"
_PARQUET_ROWS = 1024


def csv_rows(table: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row.

    Raises:
        BatchError: Not a CSV table with a column `file`.
    """
    # A table may hold file names that are not UTF-8.
    with Path(table).open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
        reader = csv.reader(stream)
        try:
            header = next(reader, [])
            _check_header(table, header)
            for row in reader:
                if len(row) > len(header):
                    raise BatchError(f"line {reader.line_num} of {table} has {len(row)} cells, the first {len(header)}")
                if row:
                    yield reader.line_num, dict(zip(header, row, strict=False))
        except csv.Error as error:
            raise BatchError(f"line {reader.line_num} of {table} is not CSV: {error}") from error


def parquet_rows(table: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells of each row; numbers as text.

    Raises:
        BatchError: Not a Parquet table with a column `file`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(table) as opened:
            _check_header(table, opened.schema_arrow.names)
            number = 0
            for batch in opened.iter_batches(_PARQUET_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {name: _text(value) for name, value in row.items()}
    except pa.ArrowException as error:
        raise BatchError(f"{table} is not a Parquet table: {error}") from error


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)  # NaN differs from itself


def _check_header(table: str, names: Sequence[str]) -> None:
    if FILE not in names:
        raise BatchError(f"{table} has no column `file` but {', '.join(names) or 'nothing'}; for example file,age,sex")
    doubles = [name for name, count in Counter(names).items() if count > 1]
    if doubles:
        raise BatchError(f"{table} has several columns {', '.join(doubles)}; each name may be there once")
