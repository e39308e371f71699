"""Data of the poster: the published files and a small copy of each, in its order and its folds.

Two other protocols split the same pictures by group, with the published labels and with those of the films.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from sklearn.model_selection import KFold

from osteolens.card import PreprocessSpec
from osteolens.datasets.columns import column_named
from osteolens.datasets.films import Film
from osteolens.datasets.folds import assign_folds
from osteolens.datasets.tables import open_table
from osteolens.errors import DataError, InputError
from osteolens.films.prepare import prepare
from osteolens.films.read import read
from osteolens.labels import LABELS, label_order
from osteolens.training.cohort import Cohort

COLUMNS = ("file", "group", "kaggle_label", "source_label", "copies")
FOLDS = 5
COPY_SIZE = (128, 256)
"""Width and height of the small copies."""
ORDER = (
    "The published files by class folder, then number, the classes in turn; after them their small copies in the same "
    "order. A picture published under two labels is in both folders under one number; one published twice under one "
    "label is there twice."
)


@dataclass(frozen=True)
class Picture:
    """One row of the table: a distinct picture.

    Attributes:
        file: Name in the table.
        path: Path of the file.
        group: Pictures of one group show the same patient.
        kaggle: Labels under which it was published.
        source: Labels of the film that it shows.
        copies: Number of published files with it.
    """

    file: str
    path: Path
    group: str
    kaggle: tuple[str, ...]
    source: tuple[str, ...]
    copies: int

    @property
    def published(self) -> list[str]:
        """Label of each published file."""
        return list(self.kaggle) if len(self.kaggle) > 1 else list(self.kaggle) * self.copies

    @property
    def number(self) -> tuple[str, str]:
        """Sort key inside a class folder: the name without the class, then the whole name."""
        return re.sub(r"^\D+", "", Path(self.file).stem), self.file


@dataclass(frozen=True)
class Protocol:
    """Films, their folds, and whether the test films choose the epoch.

    Attributes:
        name: A short name.
        title: Description in a few words.
        cohort: N films; the files of a picture share their `path`.
        fold: int64 [N], the fold in which a film is tested; all other folds train.
        best_epoch: Take the epoch with the highest accuracy on the test films; else the last.
    """

    name: str
    title: str
    cohort: Cohort
    fold: NDArray[np.int64]
    best_epoch: bool


def read_pictures(table: Path) -> list[Picture]:
    """Read the table of the published pictures.

    Args:
        table: A table with `COLUMNS`; files are relative to it, labels of one cell are joined by `|`.

    Raises:
        DataError: Names every missing column or every wrong row.
    """
    opened = open_table(table)
    own = {name: column_named(opened, name) for name in COLUMNS}
    missing = [f"there is no column {name!r}" for name, column in own.items() if not column]
    _refuse(missing, f"{table} (its columns are {', '.join(opened.columns) or 'none'})")
    rows = list(opened)
    _refuse([f"{row.place}: {row.problem}" for row in rows if row.problem], str(table))
    cells = [(row.place, {name: row.cells[column] for name, column in own.items()}) for row in rows]
    problems = [f"{place}: {problem}" for place, row in cells for problem in _problems(row, table.parent)]
    files = [row["file"] for _, row in cells]
    problems += [f"{file} is named {files.count(file)} times" for file in sorted(set(files)) if files.count(file) > 1]
    _refuse(problems if rows else ["there are no rows"], str(table))
    return [
        Picture(
            file=row["file"],
            path=table.parent / row["file"],
            group=row["group"],
            kaggle=tuple(row["kaggle_label"].split("|")),
            source=tuple(row["source_label"].split("|")),
            copies=int(row["copies"]),
        )
        for _, row in cells
    ]


def build_protocols(pictures: Sequence[Picture], spec: PreprocessSpec, seed: int, console: Console) -> list[Protocol]:
    """Build the poster's protocol, and two that keep groups apart, on the same pictures.

    Args:
        pictures: P pictures.
        spec: Preprocessing parameters.
        seed: Random seed for the folds by group.
        console: Where progress goes.

    Raises:
        DataError: A label is in too few groups, or a picture cannot be read; all of those are named.
    """
    files = publication_order(pictures)
    clear = [(picture.source[0], index) for index, picture in enumerate(pictures) if len(picture.source) == 1]
    by_group = {
        name: assign_folds([label for label, _ in rows], [pictures[index].group for _, index in rows], FOLDS, seed)
        for name, rows in (("kaggle", files), ("film", clear))
    }
    whole, small = _load(pictures, spec, console)
    chosen = [index for _, index in files]
    films = [_film(pictures[index], label) for label, index in files]
    copies = [_film(pictures[index], label, " as a small copy") for label, index in files]
    everything = _cohort([*films, *copies], np.concatenate([whole[chosen], small[chosen]]))
    published = _cohort(films, whole[chosen])
    labelled = _cohort([_film(pictures[index], label) for label, index in clear], whole[[index for _, index in clear]])
    return [
        Protocol("poster", "as the poster did", everything, contiguous_folds(len(everything.films)), best_epoch=True),
        Protocol("kaggle", "Kaggle's labels, split by group", published, by_group["kaggle"], best_epoch=False),
        Protocol("film", "the films' own labels, split by group", labelled, by_group["film"], best_epoch=False),
    ]


def publication_order(pictures: Sequence[Picture]) -> list[tuple[str, int]]:
    """Label and picture index of each published file, by class folder and number, the classes in turn.

    A list sorted by class would make contiguous folds of one class; so the classes alternate, in proportion.
    """
    folders: dict[str, list[int]] = {}
    for index in sorted(range(len(pictures)), key=lambda index: pictures[index].number):
        for label in pictures[index].published:
            folders.setdefault(label, []).append(index)
    turns = [
        ((rank + 0.5) / len(members), label, index)
        for label, members in folders.items()
        for rank, index in enumerate(members)
    ]
    return [(label, index) for _, label, index in sorted(turns)]


def contiguous_folds(films: int) -> NDArray[np.int64]:
    """Unshuffled folds, int64 [N]: the first fifth of the list, the second, and so on."""
    number = np.empty(films, np.int64)
    for fold, (_, members) in enumerate(KFold(FOLDS).split(np.zeros(films))):
        number[members] = fold
    return number


def leaks(protocol: Protocol) -> tuple[float, float]:
    """Shares of test films with a version of the picture, or another picture of the group, among the training films."""
    paths = np.array([str(film.path) for film in protocol.cohort.films])
    groups = np.array(protocol.cohort.groups)
    apart = protocol.fold[:, None] != protocol.fold
    same = paths[:, None] == paths
    same_group = (groups[:, None] == groups) & ~same
    return float((same & apart).any(axis=1).mean()), float((same_group & apart).any(axis=1).mean())


def squeezed(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize a picture uint8 [H, W] as common loaders do, without its aspect ratio: uint8 [height, width]."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def _problems(row: dict[str, str], folder: Path) -> Iterator[str]:
    """Problems of a row."""
    yield from (f"{name} is empty" for name in COLUMNS if not row[name])
    if row["file"] and not (folder / row["file"]).is_file():
        yield f"there is no file {folder / row['file']}"
    for name in ("kaggle_label", "source_label"):
        unknown = set(filter(None, row[name].split("|"))) - set(LABELS)
        yield from (f"{name} has the unknown label {label!r}; use {', '.join(LABELS)}" for label in sorted(unknown))
    published = len(row["kaggle_label"].split("|"))
    if not re.fullmatch(r"[1-9]\d{0,3}", row["copies"]):
        if row["copies"]:
            yield f"copies is {row['copies']!r}, which is not a count such as 1"
    elif published > 1 and int(row["copies"]) != published:
        yield f"copies is {row['copies']} with {published} published labels; expected one file for each"


def _load(
    pictures: Sequence[Picture], spec: PreprocessSpec, console: Console
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read and prepare all pictures and their small copies: twice uint8 [P, 1, H, W]."""
    whole = np.empty((len(pictures), 1, spec.height, spec.width), np.uint8)
    small = np.empty_like(whole)
    problems = []
    for index, picture in enumerate(track(pictures, "reading pictures", console=console)):
        try:
            pixels = read(picture.path).pixels
        except (InputError, OSError) as error:
            problems.append(f"{picture.file}: {error}")
            continue
        for kind, version in ((whole, pixels), (small, squeezed(pixels, *COPY_SIZE))):
            kind[index] = prepare(squeezed(version, spec.width, spec.height), spec).array
    _refuse(problems, "the pictures")
    return whole, small


def _film(picture: Picture, label: str, kind: str = "") -> Film:
    return Film(picture.file, picture.path, picture.file + kind, picture.group, label)


def _cohort(films: Sequence[Film], pictures: NDArray[np.uint8]) -> Cohort:
    """Cohort of films whose parts are set fold by fold."""
    return Cohort(films, label_order(film.label for film in films), pictures, np.full(len(films), "train", dtype="U10"))


def _refuse(problems: Sequence[str], where: str) -> None:
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError(f"{where}: {count}:\n" + "\n".join(f"  {problem}" for problem in problems))
