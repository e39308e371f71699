"""Which parts a run will have, and why not the others: told before it begins."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from osteolens.card import PatientFact
from osteolens.datasets.films import Film
from osteolens.evaluation.calibration import Rows, facts_of
from osteolens.evaluation.fusion import FACT_SETS, MIN_FILMS, FactSet, usable_facts
from osteolens.evaluation.predictions import Predictions

_WORDS: dict[PatientFact, str] = {"age": "age", "sex": "sex", "weight_kg": "weight", "height_m": "height"}


def parts_of_fit(
    training: Sequence[Film], validation: Sequence[Film], labels: Sequence[str], t_score_weight: float
) -> str:
    """One sentence on a run of `fit`, whose fusions are fitted on the validation films.

    Args:
        training: Its training films.
        validation: Its validation films.
        labels: K, in order.
        t_score_weight: The weight of the T-score in the loss, from the configuration.
    """
    fold = np.zeros((1, len(validation)), np.int64)
    return (
        f"Parts: {_t_score(training, t_score_weight)}; on the validation films, {_fusions(validation, labels, fold)}."
    )


def parts_of_folds(films: Sequence[Film], labels: Sequence[str], fold: NDArray[np.int64], t_score_weight: float) -> str:
    """One sentence on a cross-validation.

    Args:
        films: N of them.
        labels: K, in order.
        fold: int64 [R, N].
        t_score_weight: The weight of the T-score in the loss, from the configuration.
    """
    return f"Parts: {_t_score(films, t_score_weight)}; {_fusions(films, labels, fold)}."


def _fusions(films: Sequence[Film], labels: Sequence[str], fold: NDArray[np.int64]) -> str:
    blank = Predictions(tuple(labels), films, fold, np.zeros((*fold.shape, len(labels))), np.zeros(fold.shape))
    usable = usable_facts(Rows(blank, np.ones_like(fold, dtype=bool)))
    return "; ".join(_fusion(films, names, names in usable) for names in FACT_SETS)


def _t_score(films: Sequence[Film], weight: float) -> str:
    count = sum(math.isfinite(film.t_score) for film in films)
    if not count:
        return "no T-score (no film has one)"
    return f"T-score ({count} of {len(films)} films)" if weight else "no T-score (optimisation.t_score_weight is 0)"


def _fusion(films: Sequence[Film], names: FactSet, usable: bool) -> str:
    known = {name: np.isfinite(values) for name, values in facts_of(films).items() if name in names}
    together = int(np.all(list(known.values()), axis=0).sum())
    *first, last = (_WORDS[name] for name in names)
    listed = f"{', '.join(first)} and {last}"
    if usable:
        return f"fusion by {listed} ({together} films)"
    if together >= MIN_FILMS:
        return f"no fusion by {listed} (in some fold the films with these are of one sex or one label)"
    counts = ", ".join(f"{_WORDS[name]} of {int(known[name].sum())}" for name in names)
    return f"no fusion by {listed} (known are {counts} films, all together of {together}; {MIN_FILMS} are needed)"
