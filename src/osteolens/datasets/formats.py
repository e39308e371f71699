"""How tables are stored: text, Excel workbooks and Parquet files, all as numbered rows of text.

Rules for text, in this order. Encoding: a byte order mark decides; a zero byte among the first two is UTF-16 without
one; else the file is UTF-8 if all of it is valid UTF-8, and Windows-1252 if not. Delimiter: a first line `sep=;`, as
Excel writes it, decides; else it is the first of tab, semicolon and comma that splits a column `file` off the first
line; else the one of them that occurs most often there.
"""

# mypy: disable-error-code="import-untyped"
import codecs
import csv
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osteolens.datasets.names import FILE, WINDOWS, fold
from osteolens.errors import DataError

Rows = Iterator[tuple[int, list[str]]]

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DELIMITERS = "\t;,"
_START, _BLOCK = 1 << 12, 1 << 20
_PARQUET_ROWS = 1024


@dataclass(frozen=True)
class TextTable:
    """Text file as a table.

    Attributes:
        path: Path of the file.
        encoding: Python's name of the encoding.
        delimiter: One character.
        preamble: Lines before the first row: 1 for `sep=;`, else 0.
    """

    path: Path
    encoding: str
    delimiter: str
    preamble: int

    def rows(self) -> Rows:
        """Line number and cells of each row; the first has the columns' names.

        Bytes that Windows-1252 leaves undefined become surrogates, from which a file name's bytes can be restored.

        Raises:
            DataError: A quote is never closed, or the last line was cut off.
        """
        with self.path.open(newline="", encoding=self.encoding, errors="surrogateescape") as stream:
            for _ in range(self.preamble):
                next(stream)
            reader = csv.reader(stream, delimiter=self.delimiter, strict=True)
            try:
                for row in reader:
                    yield self.preamble + reader.line_num, row
            except (csv.Error, UnicodeDecodeError) as error:
                line = self.preamble + reader.line_num
                raise DataError(f"line {line} of {self.path} is not CSV: {error}; is a quote not closed?") from error

    def ends_whole(self) -> bool:
        """Whether the last line ends with a line break: without one it may have been cut off."""
        with self.path.open("rb") as stream:
            stream.seek(max(0, self.path.stat().st_size - 2))
            return stream.read().rstrip(b"\0").endswith((b"\n", b"\r"))


def open_text(path: Path) -> TextTable:
    """Detect the encoding and the delimiter of a text file.

    Raises:
        DataError: It is not text.
        OSError: It cannot be read.
    """
    encoding = _encoding(path)
    with path.open(newline="", encoding=encoding, errors="surrogateescape") as stream:
        if "\0" in stream.read(_START):
            raise DataError(f"{path} is not text; expected a table such as CSV, an Excel workbook (.xlsx) or Parquet")
        stream.seek(0)
        first = next((line for line in stream if line.strip()), "").rstrip("\r\n")
    if first.lower().startswith("sep=") and len(first) == len("sep=;"):
        return TextTable(path, encoding, first[-1], 1)
    return TextTable(path, encoding, _delimiter(first), 0)


def _encoding(path: Path) -> str:
    with path.open("rb") as stream:
        block = stream.read(_BLOCK)
        for mark, encoding in _MARKS:
            if block.startswith(mark):
                return encoding
        if 0 in block[:2]:
            return "utf-16-be" if block[0] == 0 else "utf-16-le"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while block:
                decoder.decode(block)
                block = stream.read(_BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return WINDOWS
    return "utf-8"


def _delimiter(line: str) -> str:
    cells = {delimiter: next(csv.reader([line], delimiter=delimiter), []) for delimiter in _DELIMITERS}
    for delimiter in _DELIMITERS:
        if len(cells[delimiter]) > 1 and FILE in map(fold, cells[delimiter]):
            return delimiter
    # With equal counts the comma wins, as in a table of a single column.
    return max(reversed(_DELIMITERS), key=lambda delimiter: len(cells[delimiter]))


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
    """Text of a value; empty for a missing one.

    Whole numbers lose their decimals: a column of ids with one gap is stored as 1.0, 2.0.
    """
    if value is None or value != value:  # NaN differs from itself
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)
