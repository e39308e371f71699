"""Plan of a cross-validation: the fold in which each film is tested, per repeat."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from osteolens.console import print_sentence
from osteolens.datasets.films import Film, read_films
from osteolens.datasets.folds import assign_folds, mark_validation
from osteolens.datasets.tables import open_table
from osteolens.errors import DataError
from osteolens.files import whole
from osteolens.labels import label_order
from osteolens.training.config import Configuration
from osteolens.training.member import Member

FOLDS_FILE = "folds.csv"


@dataclass(frozen=True)
class Plan:
    """The fold of each film in each repeat.

    Attributes:
        films: N films.
        labels: K, in order of severity.
        fold: int64 [R, N].
    """

    films: Sequence[Film]
    labels: tuple[str, ...]
    fold: NDArray[np.int64]

    def members(self, out: Path) -> list[Member]:
        """Members of the run: a model to train for each fold of each repeat."""
        return [
            Member(out / f"r{repeat}f{fold}", repeat, int(fold))
            for repeat, row in enumerate(self.fold)
            for fold in np.unique(row)
        ]

    def parts(self, config: Configuration, member: Member) -> NDArray[np.str_]:
        """Part of each film for one fold, [N]; validation films come from the other folds' groups.

        Raises:
            DataError: No training film has one of the labels, or too few groups do to choose validation films.
        """
        labels, groups = [film.label for film in self.films], [film.group for film in self.films]
        row = self.fold[member.repeat]
        parts = np.where(row == member.fold, "test", "train").astype("U10")
        if config.data.validation:
            left = float(np.mean(parts == "train"))  # data.validation is a share of all films
            seed = config.data.split_seed + member.repeat
            mark_validation(parts, labels, groups, config.data.validation / left, seed)
        trained = {label for label, part in zip(labels, parts, strict=True) if part == "train"}
        missing = [label for label in self.labels if label not in trained]
        if missing:
            raise DataError(
                f"no film outside fold {member.fold} is left to train the label {missing[0]!r} on: "
                "take folds, sources or a fold table in which each label is in two folds or more"
            )
        return parts

    def write(self, path: Path) -> None:
        """Write one row per film: file, group, label, and its fold in each repeat."""
        with whole(path) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["file", "group", "label", *(f"repeat_{repeat}" for repeat in range(len(self.fold)))])
            for index, film in enumerate(self.films):
                writer.writerow([film.file, film.group, film.label, *self.fold[:, index]])


def plan(
    config: Configuration,
    source: Path,
    *,
    folds: int,
    repeats: int,
    table: Path | None,
    by_source: bool,
    console: Console | None = None,
) -> Plan:
    """Assign films to folds.

    Args:
        config: Its `data` section says which rows are used; `data.split_seed` seeds the first repeat.
        source: The data set, see `osteolens.datasets.films.read_films`.
        folds: Number of folds, each with the same mix of labels.
        repeats: Number of times that all films are shuffled into folds.
        table: A fold table of another run, instead of `folds` and `repeats`.
        by_source: One fold per source: each place is tested by models that never saw it.
        console: Shows which parts of the data set are not used.

    Raises:
        DataError: The data set is wrong, a label has fewer groups than folds, the fold table does not fit it, or a
            group is in two sources.
    """
    notify, each = partial(print_sentence, console), config.preprocess.view == "each knee"
    films = read_films(source, config.data.skip, labels=config.data.labels, notify=notify, knees=each)
    labels = label_order((film.label for film in films), config.data.labels, config.data.border)
    if table is not None:
        return Plan(films, labels, _read_folds(table, films))
    if by_source:
        return Plan(films, labels, _folds_by_source(films)[None])
    names, groups = [film.label for film in films], [film.group for film in films]
    seeds = range(config.data.split_seed, config.data.split_seed + repeats)
    return Plan(films, labels, np.stack([assign_folds(names, groups, folds, seed) for seed in seeds]))


def _folds_by_source(films: Sequence[Film]) -> NDArray[np.int64]:
    sources = sorted({film.source for film in films})
    if len(sources) < 2 or "" in sources:
        raise DataError(
            "leaving one source out needs a column `source` with at least two names and none empty; "
            f"found {', '.join(repr(source) for source in sources)}"
        )
    places: dict[str, str] = {}
    for film in films:
        if places.setdefault(film.group, film.source) != film.source:
            raise DataError(
                f"group {film.group!r} is in the sources {places[film.group]!r} and {film.source!r}, so it would "
                "be trained on and tested: give all rows of a group one source"
            )
    return np.array([sources.index(film.source) for film in films], np.int64)


def _read_folds(table: Path, films: Sequence[Film]) -> NDArray[np.int64]:
    """int64 [R, N] from a fold table, matched by file."""
    try:
        rows = {row.cells["file"]: row.cells for row in open_table(table)}
        columns = [name for name in next(iter(rows.values())) if name.startswith("repeat_")]
        fold = np.array([[int(rows[film.file][name]) for film in films] for name in columns], np.int64)
    except (KeyError, ValueError, StopIteration) as error:
        raise DataError(f"the fold table {table} does not fit the films: {error!r}") from error
    if not columns or len(rows) != len(films):
        raise DataError(f"the fold table {table} has {len(rows)} films, the data set has {len(films)}")
    for row in fold:
        if len({(film.group, int(number)) for film, number in zip(films, row, strict=True)}) > len(
            {film.group for film in films}
        ):
            raise DataError(f"the fold table {table} has a group in two folds")
    return fold
