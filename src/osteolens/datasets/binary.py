"""Tables in Excel workbooks and Parquet files, as rows of text."""

# mypy: disable-error-code="import-untyped"
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osteolens.datasets.names import FILE, fold
from osteolens.errors import DataError

_PARQUET_ROWS = 1024

Rows = Iterator[tuple[int, list[str]]]


def workbook_rows(path: Path) -> Rows:
    """Row number and cells of the sheet that has a column `file`; formulas as they were last computed.

    Raises:
        DataError: No workbook, several such sheets, or the package to read it is missing.
    """
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ModuleNotFoundError as error:
        raise DataError(f"the workbook {path} needs {error.name}: pip install openpyxl, or save it as CSV") from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            yield from _sheet_rows(book, path)
        finally:
            book.close()
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} is not an Excel workbook: {error}; save it again, or as CSV") from error


def _sheet_rows(book: Any, path: Path) -> Rows:
    sheets = [sheet for sheet in book.worksheets if FILE in map(fold, _first_cells(sheet))]
    if len(sheets) > 1:
        names = ", ".join(sheet.title for sheet in sheets)
        raise DataError(f"{path} has several sheets with a column 'file': {names}; save one of them as a table alone")
    sheet = sheets[0] if sheets else book.worksheets[0]
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        yield number, [cell_text(value) for value in cells]


def _first_cells(sheet: Any) -> list[str]:
    """The first row that is not empty."""
    rows = ([cell_text(value) for value in cells] for cells in sheet.iter_rows(values_only=True))
    return next((cells for cells in rows if any(cells)), [])


def parquet_rows(path: Path) -> Rows:
    """Row number and cells: 0 with the columns' names, then the rows from 1.

    Raises:
        DataError: No Parquet table, or the package to read it is missing.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise DataError(f"the table {path} needs {error.name}: pip install pyarrow, or save it as CSV") from error
    try:
        with parquet.ParquetFile(path) as opened:
            yield 0, list(opened.schema_arrow.names)
            number = 0
            for batch in opened.iter_batches(_PARQUET_ROWS):
                columns = [column.to_pylist() for column in batch.columns]
                for cells in zip(*columns, strict=True):
                    number += 1
                    yield number, [cell_text(value) for value in cells]
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a Parquet table: {error}") from error


def cell_text(value: Any) -> str:
    """A value as text; nothing for a missing one.

    Whole numbers have no decimals: a column of ids with one gap is stored as 1.0, 2.0.
    """
    if value is None or value != value:  # NaN differs from itself
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)
