"""Tables in text files: which encoding, which delimiter, and the rows.

The rules, in this order. Encoding: a byte order mark decides; a zero byte among the first two is UTF-16 without one;
else the file is UTF-8 if all of it is valid UTF-8, and Windows-1252 if not. Delimiter: a first line `sep=;`, as Excel
writes it, decides; else it is the first of tab, semicolon and comma that splits a column `file` off the first line;
else the one of them that occurs most often there.
"""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from osteolens.datasets.names import FILE, WINDOWS, fold
from osteolens.errors import DataError

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_DELIMITERS = "\t;,"
_START, _BLOCK = 1 << 12, 1 << 20


@dataclass(frozen=True)
class TextTable:
    """A text file as a table.

    Attributes:
        path: Where it is.
        encoding: As Python calls it.
        delimiter: One character.
        preamble: Lines before the first row: 1 for `sep=;`, else 0.
    """

    path: Path
    encoding: str
    delimiter: str
    preamble: int

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and cells of each row, the first with the columns' names.

        Bytes that Windows-1252 leaves undefined come as surrogates, so that a file name can be had back as bytes.

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
        """Whether the last line has its end: one without may have been cut off."""
        with self.path.open("rb") as stream:
            stream.seek(max(0, self.path.stat().st_size - 2))
            return stream.read().rstrip(b"\0").endswith((b"\n", b"\r"))


def open_text(path: Path) -> TextTable:
    """Find out how a text file is written.

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
    # The last is the comma, which a table of a single column is taken to have.
    return max(reversed(_DELIMITERS), key=lambda delimiter: len(cells[delimiter]))
