"""Baselines that a model has to beat: the majority, the file's format, how the film was taken, the patient's facts."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from osteolens.datasets.films import Film

Floats = NDArray[np.float64]
Answer = tuple[Floats, Floats]
"""Probabilities [N, K] and T-scores [N] (NaN without T-scores to fit on)."""
Baseline = Callable[[Sequence[Film], Sequence[Film], Sequence[str]], Answer | None]
"""Films to fit on, films to predict and labels -> predictions, or None where the films lack a fact."""


def majority(fitted: Sequence[Film], scored: Sequence[Film], labels: Sequence[str]) -> Answer:
    """Predict the shares of the classes and the mean T-score, the same for every film."""
    shares = np.array([sum(film.label == label for film in fitted) for label in labels]) / len(fitted)
    measured = np.array([film.t_score for film in fitted])
    known = measured[np.isfinite(measured)]
    mean = known.mean() if known.size else np.nan
    return np.tile(shares, (len(scored), 1)), np.full(len(scored), mean)


def file_format(fitted: Sequence[Film], scored: Sequence[Film], labels: Sequence[str]) -> Answer | None:
    """Regression on the family of the file's format; None if all films are of one family or none is known."""
    families = sorted({film.family for film in fitted})
    if len(families) < 2:
        return None
    return _regress(fitted, scored, labels, lambda film: [film.family == family for family in families])


def acquisition(fitted: Sequence[Film], scored: Sequence[Film], labels: Sequence[str]) -> Answer | None:
    """Regression on how the films were taken, without any bone; None unless that was measured of all films."""
    if not all(film.acquisition for film in (*fitted, *scored)):
        return None
    return _regress(fitted, scored, labels, lambda film: film.acquisition)


def age_and_sex(fitted: Sequence[Film], scored: Sequence[Film], labels: Sequence[str]) -> Answer | None:
    """Regression on age and sex; None if no film comes with age or none with sex.

    A missing age is taken as the median; a missing sex is a category of its own.
    """
    return _on_facts(("age",), fitted, scored, labels)


def age_sex_weight_and_height(fitted: Sequence[Film], scored: Sequence[Film], labels: Sequence[str]) -> Answer | None:
    """Regression on these four; None if one of them is known of no film. Missing values as for `age_and_sex`."""
    return _on_facts(("age", "weight_kg", "height_m"), fitted, scored, labels)


def label_model() -> Pipeline:
    """Multinomial logistic regression, L2-regularised on standardised inputs.

    Baselines and fusion share it, so that their difference is what the image adds.
    """
    classifier = LogisticRegression(C=1.0, max_iter=1000)
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), classifier)


def t_score_model() -> Pipeline:
    """Ridge regression on standardised inputs."""
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), Ridge(alpha=1.0))


def _on_facts(
    numbers: Sequence[str],
    fitted: Sequence[Film],
    scored: Sequence[Film],
    labels: Sequence[str],
) -> Answer | None:
    sexes = sorted({film.sex for film in fitted})
    if sexes == [""] or any(all(np.isnan(getattr(film, name)) for film in fitted) for name in numbers):
        return None

    def inputs(film: Film) -> list[float]:
        return [*(getattr(film, name) for name in numbers), *(film.sex == sex for sex in sexes)]

    return _regress(fitted, scored, labels, inputs)


def _regress(
    fitted: Sequence[Film],
    scored: Sequence[Film],
    labels: Sequence[str],
    inputs: Callable[[Film], Sequence[float]],
) -> Answer:
    fitted_inputs, scored_inputs = (np.array([inputs(film) for film in films], float) for films in (fitted, scored))
    classes = label_model().fit(fitted_inputs, [labels.index(film.label) for film in fitted])
    probabilities = np.zeros((len(scored), len(labels)))  # a class without films to fit on stays at 0
    probabilities[:, classes.classes_] = classes.predict_proba(scored_inputs)
    measured = np.array([film.t_score for film in fitted])
    rows = np.isfinite(measured)
    t_scores = np.full(len(scored), np.nan)
    if rows.any():
        t_scores = t_score_model().fit(fitted_inputs[rows], measured[rows]).predict(scored_inputs)
    return probabilities, t_scores
