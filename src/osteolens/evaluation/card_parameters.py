"""Parameters of a card, fitted on films that the model had not seen; or why the films are too few for one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from osteolens.evaluation import measures
from osteolens.evaluation.calibration import MIN_RESIDUAL_GROUPS, PARTS_OF_A_FOLD, Rows, triage_label
from osteolens.evaluation.evidence import Choice, Parameters, Predictor
from osteolens.evaluation.fusion import FACT_SETS, MIN_FILMS, fit_parameters, known_facts, usable_facts
from osteolens.evaluation.metrics import draw, sample
from osteolens.evaluation.predictions import Predictions, Split
from osteolens.evaluation.predictors import FACTS, answer_as_served, answer_from_images, without_withheld_zones
from osteolens.inference.calibration import score
from osteolens.parameters import FittedOn, OperatingPoints

Floats = NDArray[np.float64]
MIN_GROUPS = 10
MIN_PER_SIDE = 10  # among fewer films, 90 % of them are all of them
_SERVED = (
    "the model of the card, calibrated as served; calibration, thresholds and intervals from the validation films, "
    "which also chose the epoch"
)
_TRIAL = "the model, whose epoch these films chose"


@dataclass(frozen=True)
class Fit:
    """Fitted parameters, and the predictors that follow from them.

    Attributes:
        parameters: For the card.
        choice: Choice of the calibration; without candidates where none was fitted.
        predictors: The image, and the image with each set of facts, on the films that are scored.
    """

    parameters: Parameters
    choice: Choice
    predictors: tuple[Predictor, ...]


def fit_out_of_fold(predictions: Predictions, draws: Floats, who: str, per_side: int = 1) -> Fit:
    """Fit on all films; each film is predicted with parameters that were fitted on the other folds.

    Args:
        predictions: N films.
        draws: [B, N], bootstrap resamples of the films.
        who: The model that predicted, as the first words of the protocol.
        per_side: Number of films with osteoporosis, and of films without, that thresholds need.
    """
    rows = Rows(predictions, np.ones_like(predictions.fold, dtype=bool))
    fact_sets = usable_facts(rows)
    predictors = answer_from_images(rows, fact_sets, who)
    parameters, choice = fit_parameters(rows, fact_sets)
    parameters = _withhold(parameters, predictions, predictors, draws, per_side)
    return Fit(parameters, choice, without_withheld_zones(predictors, predictions.films, parameters))


def fit_split(predictions: Predictions, split: Split, resamples: int, seed: int) -> Fit:
    """Fit on the validation films of a single split; the test films are predicted by the served parameters.

    A trial scores the validation films like folds: each with parameters that were fitted on the others.
    """
    trial = split.scored == "validation"
    fit = _fit_on_validation(predictions if trial else split.validation, resamples, seed)
    if trial and fit.predictors:
        return fit
    return replace(fit, predictors=answer_as_served(predictions, fit.parameters, _TRIAL if trial else _SERVED))


def one_label_outside_a_part(predictions: Predictions) -> bool:
    """Whether a fit without some fold, or without a fifth of a single fold, would see one label only."""
    rows = Rows(predictions, np.ones_like(predictions.fold, dtype=bool))
    return any(len(set(fitted.truth.tolist())) < 2 for fitted, _ in rows.turns())


def _fit_on_validation(validation: Predictions | None, resamples: int, seed: int) -> Fit:
    """Fit as many parameters as there are enough validation films for; no predictors where nothing can be fitted."""
    films, groups = (len(validation.films), len(set(validation.groups))) if validation else (0, 0)
    reason = _too_few(validation)
    if validation is None or reason:
        left_out = dict.fromkeys(("calibration", "operating points", "T-score interval", "fusion"), reason)
        fitted_on = FittedOn(films=films, groups=groups, left_out=left_out)
        return Fit(Parameters(no_triage=reason, fitted_on=fitted_on), Choice(method="none", candidates=()), ())
    fit = fit_out_of_fold(validation, draw(validation.groups, resamples, seed), _TRIAL, MIN_PER_SIDE)
    fitted_on = FittedOn(films=films, groups=groups, left_out=reasons_left_out(validation, fit.parameters))
    return replace(fit, parameters=fit.parameters.model_copy(update={"fitted_on": fitted_on}))


def _too_few(validation: Predictions | None) -> str:
    """Reason why nothing can be fitted on the validation films; empty where something can."""
    if validation is None:
        return "there are no validation films"
    groups = len(set(validation.groups))
    if groups < MIN_GROUPS:
        return f"{groups} groups of validation films are too few to fit on, at least {MIN_GROUPS} are needed"
    for label in validation.labels:
        count = len({film.group for film in validation.films if film.label == label})
        if count < 2:
            return f"{count} groups of validation films have {label}, at least 2 are needed"
    if one_label_outside_a_part(validation):
        return f"of {PARTS_OF_A_FOLD} parts of the {groups} groups of validation films, all but one have the same label"
    return ""


def reasons_left_out(table: Predictions, parameters: Parameters, films: str = "validation films") -> dict[str, str]:
    """Parameters for which there are too few films, with the reason; `films` is what messages call them."""
    rows = Rows(table, np.ones_like(table.fold, dtype=bool))
    reasons = {"operating points": parameters.no_triage} if parameters.no_triage else {}
    if np.isfinite(rows.t_score).any() and parameters.t_score_interval is None:
        measured = np.isfinite(rows.measured)
        count = len(set(rows.of(np.array(table.groups))[measured].tolist()))
        reasons["T-score interval"] = (
            f"{count} groups of {films} have a measured T-score, at least {MIN_RESIDUAL_GROUPS} are needed"
        )
    fused = {fusion.inputs for fusion in parameters.fusion}
    for names in FACT_SETS:
        count = int(known_facts(rows, names).sum())
        if names not in fused:
            needed = f"at least {MIN_FILMS} are needed, with both sexes and two labels in each part of them"
            reasons[f"fusion by {FACTS[names]}"] = f"known of {count} {films}, {needed}"
    return reasons


def _withhold(
    parameters: Parameters, predictions: Predictions, predictors: Sequence[Predictor], draws: Floats, per_side: int
) -> Parameters:
    """Parameters without the operating points of predictors that are not shown to rank better than chance."""
    reasons = [
        _no_triage(predictions, predictor, points, draws, per_side)
        for predictor, points in zip(
            predictors,
            (parameters.operating_points, *(fusion.operating_points for fusion in parameters.fusion)),
            strict=False,  # the baselines come last and have none
        )
    ]
    image, *fused = [{"operating_points": None, "no_triage": reason} if reason else {} for reason in reasons]
    fusions = tuple(fusion.model_copy(update=change) for fusion, change in zip(parameters.fusion, fused, strict=True))
    return parameters.model_copy(update={"fusion": fusions} | image)


def _no_triage(
    predictions: Predictions, predictor: Predictor, points: OperatingPoints | None, draws: Floats, per_side: int
) -> str:
    """Reason why a predictor gets no triage zones; empty where it gets them, or where no label needs any."""
    label = triage_label(predictions.labels)
    if label is None:
        return ""
    ill = predictions.truth >= predictions.labels.index(label)
    if ill.all() or not ill.any():
        return f"no threshold can be set: {'all' if ill.all() else 'none'} of the films have {label}"
    with_label, without = int(ill.sum()), int((~ill).sum())
    if min(with_label, without) < per_side:
        return (
            f"{with_label} films with {label} and {without} without are too few to set thresholds on, at least "
            f"{per_side} of each are needed"
        )
    scores = [score(predictions.labels, shares, label) for shares in predictor.probabilities]
    areas = sample(
        lambda weights: {"AUROC": np.mean([measures.auroc(row, ill, weights) for row in scores], axis=0)}, draws
    ).metrics()
    if not areas:
        return f"no resample of the films has some with {label} and some without"
    area = areas[0]
    if area.low <= 0.5:
        return (
            f"not shown to beat chance: AUROC for {label} {area.value:.2f} ({area.low:.2f} to {area.high:.2f}) on "
            "films that it was not fitted on"
        )
    return "" if points else "the answers differ too little to be separated by thresholds"
