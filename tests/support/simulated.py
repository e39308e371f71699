"""Tables of predictions that were drawn from a known truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from osteolens.datasets.films import Film
from osteolens.datasets.folds import assign_folds
from osteolens.evaluation.predictions import Predictions
from osteolens.labels import LABELS, label_from_t_score


def simulate(
    films=90, repeats=2, folds=3, *, image=1.0, age=1.0, seed=0, films_per_group=1, facts=True, t_score=True
) -> Predictions:
    """Films whose T-score shows in the image and in the age, as strongly as `image` and `age` say.

    Logits are three times too sure, and off by a constant.
    """
    random = np.random.default_rng(seed)
    density = random.normal(-1.75, 1, films)
    years = 55 - 12 * (age * (density + 1.75) + random.normal(size=films))
    rows = [
        Film(
            place="",
            path=Path(),
            file=f"{index}.png",
            group=f"g{index // films_per_group}",
            label=label_from_t_score(density[index]),
            t_score=density[index] if t_score else np.nan,
            age=years[index] if facts else np.nan,
            sex=("female", "male")[int(random.random() < 0.5)] if facts else "",
            weight_kg=random.normal(70, 10) if facts else np.nan,
            height_m=random.normal(1.65, 0.1) if facts else np.nan,
            family="ab"[index % 2],
        )
        for index in range(films)
    ]
    seen = -image * (density + 1.75) + random.normal(size=(repeats, films))
    if folds == 1:
        fold = np.zeros((repeats, films), np.int64)
    else:
        facts_of_split = [row.label for row in rows], [row.group for row in rows]
        fold = np.stack([assign_folds(*facts_of_split, folds, repeat) for repeat in range(repeats)])
    logits = 3 * np.stack([-seen, np.full_like(seen, 0.3), seen], axis=-1) + 5
    estimate = -1.75 - 0.5 * image * seen if t_score else np.full_like(seen, np.nan)
    return Predictions(LABELS, rows, fold, logits, estimate)


def with_films(predictions: Predictions, **values) -> Predictions:
    """The same with a field of every film replaced, by a value each."""
    films = [
        replace(film, **{name: value[index] for name, value in values.items()})
        for index, film in enumerate(predictions.films)
    ]
    return replace(predictions, films=films)
