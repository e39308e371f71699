"""A data set to audit, from a table or from the names of folders."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from osteolens.audit.rows import DataSet, Naming, Row, read_table
from osteolens.datasets.folders import PICTURE_SUFFIXES, describe, files_below
from osteolens.datasets.names import composed
from osteolens.errors import DataError
from osteolens.files import as_text
from osteolens.labels import usual

PART_FOLDERS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing", "holdout"})


def read_data_set(source: Path, naming: Naming) -> DataSet:
    """Read a table with the column `file` (relative to the table), or a folder of pictures.

    In a folder, pictures lie in one folder per class, or in one folder per class in one folder per part (such as
    `train/normal/1.png`), or all together without labels. Wrong values and missing files are left for the audit.

    Raises:
        DataError: There is no such table or folder, it has no pictures or not the columns, a row has more cells than
            the first, or the pattern fits none.
    """
    if not source.exists():
        raise DataError(f"there is no table or folder {source}")
    data_set = _read_folder(source, naming) if source.is_dir() else read_table(source, naming)
    if naming.group_pattern is not None:
        return _grouped_by_name(data_set, naming.group_pattern)
    return data_set


def _read_folder(folder: Path, naming: Naming) -> DataSet:
    for option, value in (("label", naming.label), ("group", naming.group), ("split", naming.split)):
        if value:
            raise DataError(
                f"{naming.options}{option}-column {value} is for tables, but {folder} is a folder"
                + (f"; use {naming.options}group-pattern" if option == "group" else "")
            )
    passed_over: Counter[str] = Counter()
    pictures: list[Path] = []
    for path, error in files_below(str(folder), passed_over):
        if error is not None:
            raise DataError(f"the folder {path} cannot be read: {error.strerror}")
        suffix = Path(path).suffix.lower()
        if suffix in PICTURE_SUFFIXES:
            pictures.append(Path(path))
        else:
            passed_over[suffix] += 1
    pictures.sort()
    if not pictures:
        raise DataError(
            f"{folder} holds no pictures ({', '.join(PICTURE_SUFFIXES)}); expected files such as {folder}/normal/1.png"
        )
    name = folder.resolve().name
    parents = [path.relative_to(folder).parts[:-1] for path in pictures]
    # Folders within folders are parts with labels; so are folders of a single level if all have names of parts.
    with_parts = max(map(len, parents)) > 1 or {part[0].lower() for part in parents if part} <= PART_FOLDERS
    rows = tuple(
        _named_by_folders(path, folder, above, with_parts, naming)
        for path, above in zip(pictures, parents, strict=True)
    )
    return DataSet(as_text(name), rows, (), tuple(_folder_notes(rows, passed_over, naming)))


def _named_by_folders(path: Path, folder: Path, above: tuple[str, ...], with_parts: bool, naming: Naming) -> Row:
    """A picture whose first folder is its part (if there are parts), and whose last other folder is its label."""
    labelled = above[1:] if with_parts else above
    use_label = labelled and naming.label != ""
    part = above[0] if with_parts and above and naming.split != "" else naming.part
    file = as_text(path.relative_to(folder).as_posix())
    labels = (usual(composed(as_text(labelled[-1]))),) if use_label else ()
    return Row(file, file, path, labels, part=as_text(part))


def _folder_notes(rows: Sequence[Row], passed_over: Counter[str], naming: Naming) -> list[str]:
    parts = sorted({row.part for row in rows if row.part})
    unlabelled = sum(not row.labels for row in rows)
    notes = ["Labels: names of the innermost folders." if unlabelled < len(rows) else "Labels: none."]
    if naming.group_pattern is None:
        notes.append("Groups: none, so no patient can be followed across a split; --group-pattern reads them.")
    notes.append(f"Split: {', '.join(parts)}." if parts else "Split: none.")
    if passed_over:
        notes.append(describe(passed_over))
    return notes


def _grouped_by_name(data_set: DataSet, pattern: str) -> DataSet:
    """The data set with the groups that are in its files' names."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DataError(f"the group pattern {pattern!r} is not a regular expression: {error}") from error
    if not expression.groups:
        raise DataError(f"the group pattern {pattern!r} has no brackets; an example is '(\\d+)[LR]'")
    matches = [expression.search(row.path.name) for row in data_set.rows]
    if not any(matches):
        raise DataError(f"the group pattern {pattern!r} fits no file name, such as {data_set.rows[0].path.name}")
    rows = tuple(
        replace(row, group=match.group(1) or "" if match else "")
        for row, match in zip(data_set.rows, matches, strict=True)
    )
    sizes = Counter(bool(row.group) for row in rows)
    note = f"Groups: from file names by {pattern}" + (f"; {sizes[False]} names do not fit." if sizes[False] else ".")
    notes = (note, *(text for text in data_set.notes if not text.startswith("Groups:")))
    return replace(data_set, rows=rows, notes=notes)
