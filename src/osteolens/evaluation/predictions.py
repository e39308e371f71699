"""Table of stored predictions: for every film and repeat, those of a model that had not seen the film.

All figures, curves and fitted parameters are computed again from this table, and from nothing else.
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteolens.datasets.films import Film, LabelledFilms
from osteolens.datasets.folds import PARTS, Part
from osteolens.errors import DataError, in_words
from osteolens.files import whole
from osteolens.films.acquisition import NAMES
from osteolens.inference.calibration import softmax
from osteolens.labels import have_order, in_order

PREDICTIONS_FILE = "predictions.csv"
_FACTS = ("file", "group", "source", "family", "label", "t_score", "age", "sex", "weight_kg", "height_m")
_FACTS_OF_TABLE = ("t_score", "age", "sex", "weight_kg", "height_m")
_NUMBERS = ("t_score", "age", "weight_kg", "height_m")
_LOGIT, _RANK, _PART, _ACQUISITION = "logit_", "label_rank", "part", "acquisition_"


@dataclass(frozen=True)
class Split:
    """The other parts of a single split, beside the films that are scored.

    Attributes:
        scored: The part of the scored films: `test`, or `validation` for a trial.
        training: The films that the model was trained on, which baselines may learn from; they are not predicted.
        validation: Predictions of the films that chose the epoch; None where they are scored, or where there are none.
    """

    scored: Part
    training: Sequence[Film]
    validation: "Predictions | None" = None


@dataclass(frozen=True)
class Predictions(LabelledFilms):
    """Predictions of films that the model (or, in a cross-validation, the model of the film's fold) had not seen.

    Attributes:
        labels: The K classes, in order of severity if `ordered`.
        films: N films, each once; their paths are empty when read from a table.
        fold: int64 [R, N], the fold whose films the film was tested with, in each of R repeats.
        logits: float64 [R, N, K], not calibrated.
        t_score: float64 [R, N], predicted; NaN where the model gives none.
        ordered: Whether it is known which label is worse.
        split: The other parts, if the table says that the films are a part of a single split.
    """

    labels: tuple[str, ...]
    films: Sequence[Film]
    fold: NDArray[np.int64]
    logits: NDArray[np.float64]
    t_score: NDArray[np.float64]
    ordered: bool = True
    split: Split | None = None

    @property
    def all_films(self) -> list[Film]:
        """Films of all parts, with the training and validation films of a single split."""
        split = self.split
        validation = split.validation.films if split and split.validation else []
        return [*(split.training if split else []), *validation, *self.films]

    def among(self, chosen: NDArray[np.bool_]) -> "Predictions":
        """Predictions of some of the films, bool [N]."""
        films = [film for film, wanted in zip(self.films, chosen, strict=True) if wanted]
        return replace(
            self, films=films, **{name: getattr(self, name)[:, chosen] for name in ("fold", "logits", "t_score")}
        )

    def together(self) -> "Predictions":
        """Mean prediction for each film over the repeats, in the folds of the first.

        No model behind it saw the film: so an ensemble of one model per repeat predicts films that are new to it.
        """
        shares = softmax(self.logits).mean(axis=0, keepdims=True)
        return replace(
            self, fold=self.fold[:1], logits=np.log(shares), t_score=self.t_score.mean(axis=0, keepdims=True)
        )

    def with_facts(self, films: Sequence[Film]) -> "Predictions":
        """The same predictions, with the patients' facts (T-score, age, sex, weight, height) of another table.

        And with its films' acquisition, where that was measured.

        Raises:
            DataError: A film is missing there, or has another label or group, so that its fold is another one.
        """
        table = {film.file: film for film in films}
        split = self.split
        if split:
            training = [_with_facts(film, table) for film in split.training]
            validation = split.validation.with_facts(films) if split.validation else None
            split = replace(split, training=training, validation=validation)
        return replace(self, films=[_with_facts(film, table) for film in self.films], split=split)

    def write(self, path: Path) -> None:
        """Write one row per repeat and film; numbers are rounded to 6 digits, NaN is an empty cell.

        Where the names of the labels do not say their order, the column `label_rank` does: 0 is the mildest. The
        table of a single split has a column `part`; its training films have no prediction. Columns `acquisition_...`
        are there where a film's acquisition was measured.
        """
        columns = ["repeat", "fold", *_FACTS, *(_LOGIT + label for label in self.labels), "t_score_predicted"]
        columns += [_RANK] * (self.ordered and not have_order(self.labels)) + [_PART] * (self.split is not None)
        columns += [_ACQUISITION + name for name in NAMES if any(film.acquisition for film in self.all_films)]
        with whole(path) as draft, draft.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self._rows())

    def _rows(self, part: str = "") -> Iterator[dict[str, Any]]:
        split = self.split
        if split:
            for film in split.training:
                yield _row(film, 0, 0) | {_RANK: self.labels.index(film.label), _PART: "train"}
            if split.validation:
                yield from split.validation._rows("validation")
        for repeat, folds in enumerate(self.fold):
            for index, film in enumerate(self.films):
                logits = map(_cell, self.logits[repeat, index])
                yield {
                    **_row(film, repeat, int(folds[index])),
                    **dict(zip((_LOGIT + label for label in self.labels), logits, strict=True)),
                    "t_score_predicted": _cell(self.t_score[repeat, index]),
                    _RANK: self.labels.index(film.label),
                    _PART: split.scored if split else part,
                }


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
        if _PART not in columns:
            return _table(path, rows, labels, ordered)
        parts = {part: [row for row in rows if row[_PART] == part] for part in PARTS}
        if sum(map(len, parts.values())) != len(rows):
            raise ValueError(f"a row has no part or another than {', '.join(PARTS)}")
        scored: Part = "test" if parts["test"] else "validation"
        validation = parts["validation"] if scored == "test" else []
        split = Split(
            scored,
            training=[_film(row) for row in parts["train"]],
            validation=_table(path, validation, labels, ordered) if validation else None,
        )
        return replace(_table(path, parts[scored], labels, ordered), split=split)
    except (OSError, KeyError, ValueError, IndexError, csv.Error) as error:
        raise DataError(
            f"{path} is not a table of predictions such as osteolens crossval writes: {in_words(error)}"
        ) from error


def _table(path: Path, rows: Sequence[dict[str, str]], labels: tuple[str, ...], ordered: bool) -> Predictions:
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


def _order(named: Sequence[str], rows: Sequence[dict[str, str]]) -> tuple[tuple[str, ...], bool]:
    """Labels of a table in order, and whether the order is known: from their names, or from the column of ranks."""
    if have_order(named):
        return in_order(named), True
    ranks = {row["label"]: int(row[_RANK]) for row in rows if _RANK in row}
    if sorted(ranks) != sorted(named):
        return tuple(named), False
    return tuple(sorted(named, key=ranks.__getitem__)), True


def average(tables: Sequence[Predictions]) -> Predictions:
    """Predictions of several models together: mean probability and mean T-score of each film and repeat.

    Raises:
        DataError: The tables are not about the same films, labels and folds.
    """
    first = tables[0]
    for other in tables[1:]:
        same = other.labels == first.labels and [film.file for film in other.films] == [f.file for f in first.films]
        if not same or not np.array_equal(other.fold, first.fold):
            raise DataError("the tables of predictions are not about the same films, labels and folds")
    shares = np.mean([softmax(table.logits) for table in tables], axis=0)
    t_score = np.mean([table.t_score for table in tables], axis=0)
    return replace(first, logits=np.log(shares), t_score=t_score, split=first.split if len(tables) == 1 else None)


def _row(film: Film, repeat: int, fold: int) -> dict[str, Any]:
    values = {name: getattr(film, name) for name in _FACTS}
    facts = {name: _cell(value) if name in _NUMBERS else value for name, value in values.items()}
    taken = {_ACQUISITION + name: f"{value:.4g}" for name, value in zip(NAMES, film.acquisition, strict=False)}
    return {"repeat": repeat, "fold": fold, **facts, **taken}


def _with_facts(film: Film, table: Mapping[str, Film]) -> Film:
    other = table.get(film.file)
    if other is None or (other.label, other.group) != (film.label, film.group):
        where = "is not in the table" if other is None else f"is {other.label} of group {other.group} there"
        raise DataError(f"{film.file}, here {film.label} of group {film.group}, {where}: train on it again")
    facts = {name: getattr(other, name) for name in _FACTS_OF_TABLE}
    return replace(film, **facts, acquisition=other.acquisition or film.acquisition)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _value(text: str) -> float:
    return float(text) if text else math.nan


def _film(row: dict[str, str]) -> Film:
    facts = {name: _value(row[name]) if name in _NUMBERS else row[name] for name in _FACTS}
    taken = [row.get(_ACQUISITION + name, "") for name in NAMES]
    acquisition = tuple(map(float, taken)) if all(taken) else ()
    return Film(place=row["file"], path=Path(), acquisition=acquisition, **facts)  # type: ignore[arg-type]
