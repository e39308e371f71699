"""What a model has to beat: always the same answer, and the patient's age and sex."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from osteolens.training.data import Film

Answer = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Probabilities [N, K] and T-scores [N] (NaN without T-scores to learn from)."""


def majority(fitted: Sequence[Film], scored: Sequence[Film], labels: Sequence[str]) -> Answer:
    """The shares of the classes and the mean T-score, for every film the same."""
    shares = np.array([sum(film.label == label for film in fitted) for label in labels]) / len(fitted)
    measured = np.array([film.t_score for film in fitted])
    known = measured[np.isfinite(measured)]
    mean = known.mean() if known.size else np.nan
    return np.tile(shares, (len(scored), 1)), np.full(len(scored), mean)


def age_and_sex(fitted: Sequence[Film], scored: Sequence[Film], labels: Sequence[str]) -> Answer | None:
    """Balanced logistic regression for the class and linear regression for the T-score.

    A missing age is taken as the median; a missing sex is a category of its own.

    Returns:
        The answers, or None if no film comes with age or none with sex.
    """
    if all(np.isnan(film.age) for film in fitted) or not any(film.sex for film in fitted):
        return None
    sexes = sorted({film.sex for film in fitted})
    known, asked = _inputs(fitted, sexes), _inputs(scored, sexes)
    classes = make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    )
    classes.fit(known, [labels.index(film.label) for film in fitted])
    measured = np.array([film.t_score for film in fitted])
    rows = np.isfinite(measured)
    t_scores = np.full(len(scored), np.nan)
    if rows.any():
        line = make_pipeline(SimpleImputer(strategy="median"), LinearRegression())
        t_scores = line.fit(known[rows], measured[rows]).predict(asked)
    return classes.predict_proba(asked), t_scores


def _inputs(films: Sequence[Film], sexes: Sequence[str]) -> NDArray[np.float64]:
    """[N, 1 + sexes]: age in years, and one column per sex that was seen in fitting."""
    return np.array([[film.age, *(float(film.sex == sex) for sex in sexes)] for film in films])
