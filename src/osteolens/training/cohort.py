"""Films with their pictures and parts, and the batches of an epoch."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from osteolens.datasets.films import Film, LabelledFilms, load_films, read_films
from osteolens.datasets.folds import split
from osteolens.files import whole
from osteolens.labels import label_order
from osteolens.training.augment import Augmentation, build_transform
from osteolens.training.config import Configuration
from osteolens.training.engine import Batch


@dataclass(frozen=True)
class Cohort(LabelledFilms):
    """Films with their pictures and their parts of the split.

    Attributes:
        films: N films.
        labels: The K classes in order.
        pictures: uint8 [N, 1, H, W], prepared; [N, 1, 0, 0] before they are read.
        parts: [N], see `osteolens.datasets.folds.split`.
    """

    films: Sequence[Film]
    labels: tuple[str, ...]
    pictures: NDArray[np.uint8]
    parts: NDArray[np.str_]

    def among(self, *parts: str) -> "Cohort":
        """Cohort of the films in some parts of the split."""
        chosen = np.flatnonzero(np.isin(self.parts, parts))
        films = [self.films[int(index)] for index in chosen]
        return Cohort(films, self.labels, self.pictures[chosen], self.parts[chosen])

    def read(self, config: Configuration, console: Console) -> "Cohort":
        """Cohort with its pictures read and prepared.

        Raises:
            DataError: Names every picture that cannot be read.
        """
        films, pictures = load_films(self.films, config.preprocess, console)
        return replace(self, films=films, pictures=pictures)

    def write(self, path: Path) -> None:
        """Write one row per film: file, group, label, part."""
        with whole(path) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("file", "group", "label", "part"))
            writer.writerows(
                (film.file, film.group, film.label, part)
                for film, part in zip(self.films, self.parts.tolist(), strict=True)
            )


def split_films(config: Configuration, source: Path, notify: Callable[[str], None] = lambda _: None) -> Cohort:
    """Read a data set's table and split its films, before any picture is read.

    Args:
        config: Its `data` section says which rows are used and how they are split.
        source: The data set, see `osteolens.datasets.films.read_films`.
        notify: Called with a sentence on the rows and columns that are not used.

    Raises:
        DataError: Rows or labels are wrong, or there are too few groups to split.
    """
    each = config.preprocess.view == "each knee"
    films = read_films(source, config.data.skip, config.data.held_out, config.data.labels, notify, knees=each)
    labels = label_order((film.label for film in films), config.data.labels, config.data.border)
    parts = split(
        [film.label for film in films],
        [film.group for film in films],
        validation=config.data.validation,
        test=config.data.test,
        seed=config.data.split_seed,
        held_out=[film.held_out for film in films],
    )
    return Cohort(films, labels, np.empty((len(films), 1, 0, 0), np.uint8), parts)


class VariedFilms(Dataset[Batch]):
    """Training films, each augmented as its epoch says."""

    def __init__(self, training: Cohort, augmentation: Augmentation) -> None:
        self.pictures = torch.from_numpy(training.pictures)
        self.truth = torch.from_numpy(training.truth)
        self.measured = torch.from_numpy(training.measured).float()
        self.augmentation = augmentation

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Batch:
        return self.augmentation(self.pictures[index], index), self.truth[index], self.measured[index]


def epoch_batches(config: Configuration, training: Cohort, epoch: int) -> DataLoader[Batch]:
    """Shuffled and augmented training films, in whole batches unless there is only one.

    Order and augmentation follow from seed and epoch, however many workers there are.
    """
    seed, size, count = config.run.seed, config.optimisation.batch_size, len(training.films)
    return DataLoader(
        VariedFilms(training, Augmentation(build_transform(config.augment), seed, epoch)),
        batch_size=size,
        # Seeded by epoch, not drawn on from the epoch before: a resumed run sees the same order.
        sampler=np.random.default_rng((seed, epoch)).permutation(count).tolist(),
        num_workers=config.run.workers,
        drop_last=count >= size,  # as many steps as the schedule counts
        generator=torch.Generator().manual_seed(seed),  # its own, so that the model's dropout is left alone
    )
