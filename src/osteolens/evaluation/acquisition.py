"""What an image has beyond the way in which the films were taken."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri  # type: ignore[import-untyped]
from scipy.stats import rankdata  # type: ignore[import-untyped]

from osteolens.card import BEYOND_ACQUISITION, Evaluation
from osteolens.evaluation import measures
from osteolens.evaluation.baselines import label_model
from osteolens.evaluation.calibration import Rows
from osteolens.evaluation.evidence import Predictor
from osteolens.evaluation.metrics import WITHIN_FAMILIES, questions, sample
from osteolens.evaluation.predictions import Predictions
from osteolens.evaluation.predictors import ACQUISITION
from osteolens.inference.calibration import log_softmax

Floats = NDArray[np.float64]
GAIN = "AUROC gain"
_ROUNDING = 1e-9
_PROTOCOL = (
    "the image's score less its least-squares fit on the acquisition of all films, both by ranks and without any "
    "label, over all pairs and over pairs of one device family; 0.5 is a strict mark, as an image that tells nothing "
    "reaches it at most. Gain: a regression on acquisition and the image's answer, less one on acquisition (or less "
    "0.5, if that is more), fitted on the other folds; 0 is nothing. 95 % percentile intervals from {} bootstrap "
    "resamples of groups"
)


def beyond_acquisition(
    predictions: Predictions, predictors: Sequence[Predictor], draws: Floats
) -> tuple[Evaluation, ...]:
    """Figures of the image beyond acquisition; empty where that was not measured.

    Args:
        predictions: N films.
        predictors: The image first, and the baselines.
        draws: [B, N], bootstrap resamples of the films.
    """
    alone = next((predictor for predictor in predictors if predictor.name == ACQUISITION), None)
    if alone is None:
        return ()
    together = _together(predictions)
    residuals = [residual_of(predictions, shares) for shares in predictors[0].probabilities]

    def values(weights: Floats) -> dict[str, Floats]:
        rows = [
            dict(_values(predictions, weights, *parts))
            for parts in zip(residuals, together, alone.probabilities, strict=True)
        ]
        return {name: np.mean([row[name] for row in rows], axis=0) for name in rows[0]}

    return (
        Evaluation(
            subject=BEYOND_ACQUISITION,
            protocol=_PROTOCOL.format(len(draws)),
            films=len(predictions.films),
            groups=len(set(predictions.groups)),
            metrics=sample(values, draws).metrics(),
        ),
    )


def _values(
    predictions: Predictions, weights: Floats, residual: Floats, together: Floats, alone: Floats
) -> Iterator[tuple[str, Floats]]:
    """Figures of one repeat, [B] each, from residuals [N, questions] and probabilities [N, K]."""
    borders = questions(predictions.labels)
    asked = [(each, each.truth(predictions.truth), residual[:, k]) for k, each in enumerate(borders)]
    for question, positive, score in asked:
        yield f"AUROC {question.name}", measures.auroc(score, positive, weights)
    if len(np.unique(predictions.family)) > 1:
        for question, positive, score in asked:
            within = measures.auroc_within(score, positive, weights, predictions.family)
            yield f"{WITHIN_FAMILIES} {question.name}", within
    for question, positive, _ in asked:
        with_image, without = (measures.auroc(question.score(p), positive, weights) for p in (together, alone))
        # What tells nothing often ranks below 0.5 across folds: to rise from there to 0.5 is no gain.
        yield f"{GAIN} {question.name}", with_image - np.maximum(without, 0.5)


def _acquisition(predictions: Predictions) -> Floats:
    """Numbers of the films' acquisition that differ between films, [N, numbers]."""
    table = np.array([film.acquisition for film in predictions.films], np.float64)
    return table[:, np.ptp(table, axis=0) > 0]


def residual_of(predictions: Predictions, shares: Floats) -> Floats:
    """Score of each question less what acquisition tells of it: [N, K] -> [N, questions].

    By normal scores of the ranks: a bend in the image's score would otherwise stay, as something beyond acquisition.
    """
    scores = _normal(np.stack([question.score(shares) for question in questions(predictions.labels)], axis=1))
    table = np.column_stack([np.ones(len(scores)), _normal(_acquisition(predictions))])
    residual = scores - table @ np.linalg.lstsq(table, scores, rcond=None)[0]
    # What is left of a score that acquisition explains wholly is rounding, which would rank films all the same.
    return np.where(residual.std(axis=0) > _ROUNDING, residual, 0)


def _normal(table: Floats) -> Floats:
    """Normal scores of each column, [N, ...]."""
    return np.asarray(ndtri((rankdata(table, axis=0) - 0.5) / len(table)))


def _together(predictions: Predictions) -> Floats:
    """Probabilities [R, N, K] of a regression on acquisition and the image's answer, fitted on the other folds."""
    rows = Rows(predictions, np.ones_like(predictions.fold, dtype=bool))
    answers, films = log_softmax(predictions.logits), _acquisition(predictions)
    shares = np.zeros(predictions.logits.shape)
    for fitted, scored in rows.turns():
        tables = [np.column_stack([films[part.film], part.of(answers)]) for part in (fitted, scored)]
        model = label_model().fit(tables[0], fitted.truth)
        (repeat,) = np.flatnonzero(scored.chosen.any(axis=1))
        shares[repeat, scored.film[:, None], model.classes_] = model.predict_proba(tables[1])
    return shares
