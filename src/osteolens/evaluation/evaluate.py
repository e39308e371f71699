"""Evidence from a table of predictions; nothing is fitted or chosen on the films that it is scored on."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from osteolens.card import Card, Difference
from osteolens.errors import DataError
from osteolens.evaluation.acquisition import beyond_acquisition
from osteolens.evaluation.breakdown import (
    differences,
    ece_by_chance,
    evaluation,
    image_subgroups,
    interval_coverage,
    sampled_figures,
    subgroups,
    triage_zones,
)
from osteolens.evaluation.calibration import PARTS_OF_A_FOLD, triage_label
from osteolens.evaluation.card_parameters import MIN_GROUPS, Fit, fit_out_of_fold, fit_split, one_label_outside_a_part
from osteolens.evaluation.evidence import Evidence, Parameters
from osteolens.evaluation.metrics import RESAMPLES, draw
from osteolens.evaluation.predictions import Predictions
from osteolens.evaluation.predictors import FACTS, answer_from_baselines, fused_name
from osteolens.evidence import AGE_AND_SEX, question_of_area


def evaluate(predictions: Predictions, resamples: int = RESAMPLES, seed: int = 0, *, ensemble: int = 0) -> Evidence:
    """Compute all evidence from a table of predictions; the same for the same arguments.

    Args:
        predictions: Predictions by single models, a row for each repeat; or those of a single split.
        resamples: Number of bootstrap resamples for the intervals.
        seed: Random seed for the resamples.
        ensemble: Number of members of the model to ship; 0 for a single model. An ensemble's figures are those of the
            mean answers of the repeats, as these members never saw the film; the first figure's protocol says how many.

    Raises:
        DataError: A group is in two folds, or there are too few groups or labels to fit on some and score others.
    """
    check(predictions)
    with threadpool_limits(limits=1):  # hundreds of small fits: several threads would only wait for each other
        return _evaluate(
            predictions.together() if ensemble else predictions, resamples, seed, _who(predictions, ensemble)
        )


def _who(predictions: Predictions, ensemble: int) -> str:
    """The model that predicted, as the first words of the image's protocol."""
    repeats = len(predictions.fold)
    if not ensemble:
        return "a model that had seen no film of the group"
    if repeats == 1:
        return f"single members that had seen no film of the group, not the ensemble of {ensemble} that is shipped"
    return (
        f"the mean answer of {repeats} members (one per repeat) that had seen no film of the group, where the ensemble "
        f"that is shipped has {ensemble}"
    )


def _evaluate(predictions: Predictions, resamples: int, seed: int, who: str) -> Evidence:
    draws = draw(predictions.groups, resamples, seed)
    if predictions.split:
        fit = fit_split(predictions, predictions.split, resamples, seed)
    else:
        fit = fit_out_of_fold(predictions, draws, who)
    return evidence_of(predictions, fit, draws, seed)


def evidence_of(predictions: Predictions, fit: Fit, draws: NDArray[np.float64], seed: int) -> Evidence:
    """All figures of a table whose answers were calibrated already, beside those of the baselines.

    Args:
        predictions: N films.
        fit: Parameters, and what comes of them.
        draws: [B, N], bootstrap resamples of the films.
        seed: For the calibration error by chance.
    """
    resamples = len(draws)
    predictors = (*fit.predictors, *answer_from_baselines(predictions))
    sampled = {predictor.name: sampled_figures(predictions, predictor, draws) for predictor in predictors}
    label = triage_label(predictions.labels)
    with_zones = [predictor for predictor in predictors if label and (predictor.zone != "").any()]
    coverage = [interval_coverage(predictions, predictor, draws) for predictor in predictors]
    return Evidence(
        predictions=predictions,
        predictors=predictors,
        evaluations=(
            *(evaluation(predictions, predictor, sampled[predictor.name], resamples) for predictor in predictors),
            *beyond_acquisition(predictions, predictors, draws),
        ),
        differences=differences(
            predictions, predictors, draws, [names for names in FACTS if fused_name(names) in sampled], sampled
        ),
        per_source=subgroups(predictions, predictors, "source", [film.source for film in predictions.films], draws),
        subgroups=image_subgroups(predictions, predictors, draws),
        triage=tuple(triage_zones(predictions, predictor, str(label), draws) for predictor in with_zones),
        coverage=tuple(row for row in coverage if row is not None),
        ece_by_chance={predictor.name: ece_by_chance(predictor, seed) for predictor in predictors},
        calibration=fit.choice,
        parameters=fit.parameters,
    )


def apply_to_card(card: Card, evidence: Evidence) -> Card:
    """Put figures and fitted parameters into a card, checked as when it is read."""
    split, fitted = evidence.predictions.split, evidence.parameters
    update = {
        "evaluations": evidence.evaluations,
        "differences": tuple(from_age_and_sex(evidence.differences)),
        "trial": split is not None and split.scored == "validation",
    } | {name: getattr(fitted, name) for name in Parameters.model_fields}
    return Card.model_validate(card.model_copy(update=update).model_dump())


def from_age_and_sex(differences: Sequence[Difference]) -> Iterator[Difference]:
    """What a card keeps of the differences: AUROCs over all pairs of films, less those of age and sex."""
    for each in differences:
        if each.baseline == AGE_AND_SEX:
            areas = [metric for metric in each.metrics if question_of_area(metric.name)]
            yield each.model_copy(update={"metrics": tuple(areas)})


def check(predictions: Predictions) -> None:
    """Refuse a table that cannot be evaluated, by its labels, groups and folds; predictions are not looked at.

    Raises:
        DataError: See `evaluate`.
    """
    if not predictions.ordered:
        raise DataError(
            f"nothing says which of the labels {', '.join(predictions.labels)} is worse, and most figures go by that: "
            "add a column label_rank to the table of predictions, 0 for films of the mildest label, 1 for the next"
        )
    if predictions.split:  # nothing is fitted on the scored films but in a trial, which says where they are too few
        return
    if len(set(predictions.groups)) < MIN_GROUPS:
        raise DataError(
            f"{len(set(predictions.groups))} groups are too few to evaluate, expected at least {MIN_GROUPS}"
        )
    for repeat, folds in enumerate(predictions.fold):
        for fold in np.unique(folds) if len(np.unique(folds)) > 1 else ():
            if len(set(predictions.truth[folds != fold].tolist())) < 2:
                raise DataError(f"repeat {repeat}: all films outside fold {fold} have the same label")
        place: dict[str, int] = {}
        for group, fold in zip(predictions.groups, folds.tolist(), strict=True):
            if place.setdefault(group, fold) != fold:
                raise DataError(f"repeat {repeat}: group {group!r} is in the folds {place[group]} and {fold}")
    if one_label_outside_a_part(predictions):
        raise DataError(
            f"of {PARTS_OF_A_FOLD} parts of the held-out groups, all but one have the same label; hold out more groups "
            "of the rare labels"
        )
