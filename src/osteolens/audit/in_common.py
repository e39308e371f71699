"""Which films of a list are in a data set too, whole or in part: as copies are looked for in an audit."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from osteolens.audit.rows import DataSet, Naming, Row, read_data_set
from osteolens.audit.run import collect


def films_in_common(paths: Sequence[Path], source: Path, console: Console) -> dict[int, str]:
    """How each film that shares a picture with a data set is related to it, by its number.

    Args:
        paths: The films.
        source: The other data set: a table with a column `file`, or a folder of pictures.
        console: Where progress goes.

    Raises:
        DataError: There is no such data set, or none of its pictures can be read.
    """
    rows = tuple(Row(path.name, path.name, path) for path in paths)
    other = read_data_set(source, Naming(label="", group="", split=""))
    collection = collect(DataSet("the films", rows, (), ()), other, console)
    theirs = set(collection.origin[len(rows) :].tolist())
    relations = {match.first: match.describe() for match in collection.matches if collection.is_own(match.first)} | {
        match.second: match.describe() for match in collection.matches if collection.is_own(match.second)
    }
    # A chain counts: a part of a film of which another part was trained on.
    return {number: relations[number] for number in collection.own if int(collection.origin[number]) in theirs}
