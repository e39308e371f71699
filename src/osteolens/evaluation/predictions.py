"""The table of stored predictions: every film, every repeat, what the model that had not seen it said.

All figures, curves and fitted parameters are computed again from this table, and from nothing else.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from osteolens.datasets.films import Film
from osteolens.errors import DataError
from osteolens.files import whole
from osteolens.inference.calibration import softmax
from osteolens.labels import have_order, in_order

PREDICTIONS_FILE = "predictions.csv"
_FACTS = ("file", "group", "source", "family", "label", "t_score", "age", "sex", "weight_kg", "height_m")
_FACTS_OF_PATIENTS = ("t_score", "age", "sex", "weight_kg", "height_m")
_NUMBERS = ("t_score", "age", "weight_kg", "height_m")
_LOGIT, _RANK = "logit_", "label_rank"


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of one model (or one procedure that made a model per fold).

    Attributes:
        labels: The K classes, in order of severity if `ordered`.
        films: N of them, each once; their paths are empty when read from a table.
        fold: int64 [R, N], the fold whose films the film was tested with, in each of R repeats.
        logits: float64 [R, N, K], not calibrated.
        t_score: float64 [R, N], predicted; NaN where the model gives none.
        ordered: Whether it is known which label is worse.
    """

    labels: tuple[str, ...]
    films: Sequence[Film]
    fold: NDArray[np.int64]
    logits: NDArray[np.float64]
    t_score: NDArray[np.float64]
    ordered: bool = True

    @property
    def truth(self) -> NDArray[np.int64]:
        """Index of each film's label, int64 [N]."""
        return np.array([self.labels.index(film.label) for film in self.films], np.int64)

    @property
    def measured(self) -> NDArray[np.float64]:
        """Each film's measured T-score, float64 [N]; NaN where there is none."""
        return np.array([film.t_score for film in self.films], np.float64)

    @property
    def groups(self) -> list[str]:
        """Each film's group, [N]."""
        return [film.group for film in self.films]

    def together(self) -> "Predictions":
        """The mean answer about each film over the repeats, in the folds of the first.

        No model behind it saw the film: this is what an ensemble of one model per repeat says of films new to it.
        """
        shares = softmax(self.logits).mean(axis=0, keepdims=True)
        return replace(
            self, fold=self.fold[:1], logits=np.log(shares), t_score=self.t_score.mean(axis=0, keepdims=True)
        )

    def with_facts(self, films: Sequence[Film]) -> "Predictions":
        """The same answers about films with the facts (T-score, age, sex, weight, height) of another table.

        Raises:
            DataError: A film is missing there, or has another label or group: then its answers are of another fold.
        """
        table = {film.file: film for film in films}
        corrected: list[Film] = []
        for film in self.films:
            other = table.get(film.file)
            if other is None or (other.label, other.group) != (film.label, film.group):
                where = "is not in the table" if other is None else f"is {other.label} of group {other.group} there"
                raise DataError(f"{film.file}, here {film.label} of group {film.group}, {where}: train on it again")
            corrected.append(replace(film, **{name: getattr(other, name) for name in _FACTS_OF_PATIENTS}))
        return replace(self, films=corrected)

    def write(self, path: Path) -> None:
        """Write one row per repeat and film; numbers are rounded to 6 digits, NaN is an empty cell.

        Where the names of the labels do not say their order, the column `label_rank` does: 0 is the mildest.
        """
        ranked = self.ordered and not have_order(self.labels)
        columns = ["repeat", "fold", *_FACTS, *(_LOGIT + label for label in self.labels), "t_score_predicted"]
        columns += [_RANK] * ranked
        with whole(path) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(columns)
            for repeat, folds in enumerate(self.fold):
                for index, film in enumerate(self.films):
                    said = (*self.logits[repeat, index], self.t_score[repeat, index])
                    rank = [self.labels.index(film.label)] * ranked
                    writer.writerow([repeat, folds[index], *_facts(film), *map(_cell, said), *rank])


def read_predictions(path: Path) -> Predictions:
    """Read what `Predictions.write` wrote.

    Raises:
        DataError: The file is missing, is not such a table, or a repeat lacks films.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            columns = reader.fieldnames or ()
            rows = list(reader)
        named = [name.removeprefix(_LOGIT) for name in columns if name.startswith(_LOGIT)]
        if len(named) < 2:
            raise ValueError(f"it has {len(named)} columns named {_LOGIT}<label>")
        labels, ordered = _order(named, rows)
        repeats = sorted({int(row["repeat"]) for row in rows})
        parts = [[row for row in rows if int(row["repeat"]) == repeat] for repeat in repeats]
        films = [_film(row) for row in parts[0]]
        if any([row["file"] for row in part] != [film.file for film in films] for part in parts):
            raise DataError(f"{path}: not every repeat has the same films in the same order")
        return Predictions(
            labels=labels,
            films=films,
            fold=np.array([[int(row["fold"]) for row in part] for part in parts], np.int64),
            logits=np.array([[[float(row[_LOGIT + label]) for label in labels] for row in part] for part in parts]),
            t_score=np.array([[_value(row["t_score_predicted"]) for row in part] for part in parts]),
            ordered=ordered,
        )
    except (OSError, KeyError, ValueError, IndexError, csv.Error) as error:
        raise DataError(
            f"{path} is not a table of predictions such as train/cross_validate.py writes: {error}"
        ) from error


def _order(named: Sequence[str], rows: Sequence[dict[str, str]]) -> tuple[tuple[str, ...], bool]:
    """The labels of a table in order, and whether that is known: from their names, or from the column of ranks."""
    if have_order(named):
        return in_order(named), True
    ranks = {row["label"]: int(row[_RANK]) for row in rows if _RANK in row}
    if sorted(ranks) != sorted(named):
        return tuple(named), False
    return tuple(sorted(named, key=ranks.__getitem__)), True


def average(tables: Sequence[Predictions]) -> Predictions:
    """What the models answer together: the mean probability and the mean T-score of each film and repeat.

    Raises:
        DataError: The tables are not about the same films, labels and folds.
    """
    first = tables[0]
    for other in tables[1:]:
        same = other.labels == first.labels and [film.file for film in other.films] == [f.file for f in first.films]
        if not same or not np.array_equal(other.fold, first.fold):
            raise DataError("the tables of predictions are not about the same films, labels and folds")
    shares = np.mean([softmax(table.logits) for table in tables], axis=0)
    return replace(first, logits=np.log(shares), t_score=np.mean([table.t_score for table in tables], axis=0))


def _facts(film: Film) -> list[str]:
    values = {name: getattr(film, name) for name in _FACTS}
    return [_cell(value) if name in _NUMBERS else value for name, value in values.items()]


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _value(text: str) -> float:
    return float(text) if text else math.nan


def _film(row: dict[str, str]) -> Film:
    facts = {name: _value(row[name]) if name in _NUMBERS else row[name] for name in _FACTS}
    return Film(place=row["file"], path=Path(), **facts)  # type: ignore[arg-type]
