"""Reader of all tables: rows by column name, one after the other.

Text (such as CSV), Excel workbooks and Parquet files are recognised by their first bytes. Cells are stripped, empty
rows skipped. A row that ends early counts as one with empty last cells, as Excel leaves out the delimiters of such
cells; a row with more cells than the first line is an error, and so are two columns of one name.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from osteolens.datasets.formats import Rows, open_text, parquet_rows, workbook_rows
from osteolens.datasets.names import fold
from osteolens.errors import DataError, in_words

WORKBOOK_SUFFIXES, PARQUET_SUFFIXES = (".xlsx", ".xlsm"), (".parquet", ".pq")
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", *WORKBOOK_SUFFIXES, ".xls", ".ods", *PARQUET_SUFFIXES)
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"  # an OLE container, which a protected .xlsx is as well
_NOT_READ = ".xls and .ods files, and protected workbooks, are not read: save it as .xlsx or CSV"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        place: Place of the row, for messages: `line 7`, or `row 7` of a workbook or Parquet file.
        cells: Column name to stripped text.
        problem: Fault of the row as a whole, whose cells are then empty; else empty.
        raw: Column name to text with its spaces, for names of files.
    """

    place: str
    cells: dict[str, str]
    problem: str = ""
    raw: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Table:
    """Table that is read again each time it is iterated over.

    Attributes:
        path: Path of the file.
        kind: `text`, `workbook` or `parquet`.
        header: Names of the columns, stripped; empty for a column without a name.
        encoding: A text file's encoding; `utf-8` elsewhere.
        decimal_comma: Whether 1,5 is a number: wherever commas do not separate columns.
    """

    path: Path
    kind: str
    header: tuple[str, ...]
    encoding: str
    decimal_comma: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that have one."""
        return tuple(name for name in self.header if name)

    def __iter__(self) -> Iterator[Row]:
        """Rows that are not empty, in order.

        Raises:
            DataError: The file is damaged.
        """
        rows = _filled(self._all_rows())
        next(rows, None)
        word = "line" if self.kind == "text" else "row"
        last: tuple[int, int] | None = None
        for number, cells in rows:
            yield self._row(f"{word} {number}", cells)
            last = number, len(cells)
        if last and self.kind == "text" and last[1] < len(self.header) and not open_text(self.path).ends_whole():
            raise DataError(
                f"line {last[0]} of {self.path} is the last and has no end: {last[1]} cells of {len(self.header)}; the "
                "table may have been cut off"
            )

    def _row(self, place: str, cells: Sequence[str]) -> Row:
        width = len(self.header)
        if len(cells) > width:
            return Row(place, {}, f"{len(cells)} cells, but the first line has {width}{self._hint()}")
        named = dict(zip(self.header, (*cells, *[""] * (width - len(cells))), strict=True))
        beyond = [cell for name, cell in zip(self.header[1:], cells[1:], strict=False) if not name and cell.strip()]
        if beyond:
            return Row(place, {}, f"{beyond[0]!r} is in a column without a name{self._hint()}")
        named.pop("", None)
        return Row(place, {name: cell.strip() for name, cell in named.items()}, raw=named)

    def _hint(self) -> str:
        if self.decimal_comma:
            return ""
        return "; write decimals with a point, as -1.5, or separate columns by semicolons"

    def _all_rows(self) -> Rows:
        if self.kind == "workbook":
            # A sheet also returns cells that only have a format.
            return ((number, _without_last_empty(cells)) for number, cells in workbook_rows(self.path))
        return parquet_rows(self.path) if self.kind == "parquet" else open_text(self.path).rows()


def open_table(path: Path) -> Table:
    """Read the first line of a table and detect how the file is stored.

    Raises:
        DataError: The file cannot be read, is no table, or has two columns of one name.
    """
    try:
        kind = _kind(path)
        text = open_text(path) if kind == "text" else None
        rows = text.rows() if text else workbook_rows(path) if kind == "workbook" else parquet_rows(path)
        _, names = next(_filled(rows), (0, []))
    except FileNotFoundError:
        raise DataError(
            f"there is no {path}; expected a table such as films.csv (CSV, Excel or Parquet), or a folder of films"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the table {path} cannot be read: {in_words(error)}") from error
    header = tuple(name.strip() for name in (names if text else _without_last_empty(names)))
    doubles = [name for name, count in Counter(map(fold, header)).items() if count > 1 and name]
    if doubles:
        raise DataError(f"{path} has several columns {', '.join(doubles)}; each name may be there once")
    return Table(path, kind, header, text.encoding if text else "utf-8", text is None or text.delimiter != ",")


def _filled(rows: Rows) -> Rows:
    return ((number, cells) for number, cells in rows if any(cell.strip() for cell in cells))


def _without_last_empty(cells: list[str]) -> list[str]:
    return cells[: max((index + 1 for index, cell in enumerate(cells) if cell.strip()), default=0)]


def _kind(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(4)
    suffix = path.suffix.lower()
    if start == b"PAR1" or suffix in PARQUET_SUFFIXES:
        return "parquet"
    if start == _OLD_EXCEL or suffix in (".xls", ".ods"):
        raise DataError(f"the table {path} cannot be read: {_NOT_READ}")
    return "workbook" if start == b"PK\3\4" or suffix in WORKBOOK_SUFFIXES else "text"
