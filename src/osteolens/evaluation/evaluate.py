"""From a table of out-of-fold predictions to all evidence; nothing is fitted or chosen on the films it is scored on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from osteolens.card import Card, Evaluation, OperatingPoints
from osteolens.datasets.films import Film
from osteolens.errors import DataError
from osteolens.evaluation import measures
from osteolens.evaluation.calibration import LEVEL, PARTS_OF_A_FOLD, Rows, triage_label
from osteolens.evaluation.evidence import Coverage, Difference, Evidence, Parameters, Predictor, Subgroup, Triage
from osteolens.evaluation.fusion import FactSet, fit_parameters, usable_facts
from osteolens.evaluation.metrics import RESAMPLES, Bootstrap, Scored, bootstrap, draw, sample
from osteolens.evaluation.predictions import Predictions
from osteolens.evaluation.predictors import (
    FACTS,
    IMAGE,
    MAJORITY,
    answer_from_baselines,
    answer_from_images,
    fused_name,
    without_withheld_zones,
)
from osteolens.inference.calibration import LOW_SUSPICION, REFER, UNCERTAIN, ZONES, score

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
MIN_SUBGROUP = MIN_GROUPS = 10
AGE_BANDS = {"under 45": (-np.inf, 45), "45 to 59": (45, 60), "60 and over": (60, np.inf)}
_RANKINGS = ("AUROC", "average precision", "T-score Pearson r")
_CHANCE_TRIALS = 2000


def evaluate(predictions: Predictions, resamples: int = RESAMPLES, seed: int = 0, *, ensemble: int = 0) -> Evidence:
    """Everything that is known from a table of predictions; the same for the same arguments.

    Args:
        predictions: Of single models, a row for each repeat.
        resamples: For the intervals.
        seed: For the resamples.
        ensemble: How many members the model to ship has; 0 for a single model. An ensemble's figures are those of the
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
    """Who answered, as the first words of the image's protocol."""
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
    rows = Rows(predictions, np.ones_like(predictions.fold, dtype=bool))
    fact_sets = usable_facts(rows)
    predictors = (*answer_from_images(rows, fact_sets, who), *answer_from_baselines(rows))
    draws = draw(predictions.groups, resamples, seed)
    sampled = {predictor.name: _sampled(predictions, predictor, draws) for predictor in predictors}
    parameters, choice = fit_parameters(rows, fact_sets)
    parameters = _withhold(parameters, predictions, predictors, draws)
    predictors = without_withheld_zones(predictors, predictions.films, parameters)
    return Evidence(
        predictions=predictions,
        predictors=predictors,
        evaluations=tuple(
            _evaluation(predictions, predictor, sampled[predictor.name], resamples) for predictor in predictors
        ),
        differences=_differences(sampled, fact_sets),
        per_source=_subgroups(predictions, predictors, "source", [film.source for film in predictions.films], draws),
        subgroups=_image_subgroups(predictions, predictors, draws),
        triage=tuple(
            _triage(predictions, predictor, label, draws)
            for predictor in predictors
            for label in [triage_label(predictions.labels)]
            if label and (predictor.zone != "").any()
        ),
        coverage=tuple(
            _coverage(predictions, predictor, draws) for predictor in predictors if np.isfinite(predictor.low).any()
        ),
        ece_by_chance={predictor.name: _ece_by_chance(predictor, seed) for predictor in predictors},
        calibration=choice,
        parameters=parameters,
    )


def _withhold(
    parameters: Parameters, predictions: Predictions, predictors: Sequence[Predictor], draws: Floats
) -> Parameters:
    """The parameters without the operating points of answers that are not shown to rank better than chance."""
    reasons = [
        _no_triage(predictions, predictor, points, draws)
        for predictor, points in zip(
            predictors,
            (parameters.operating_points, *(fusion.operating_points for fusion in parameters.fusion)),
            strict=False,  # the baselines come last and have none
        )
    ]
    image, *fused = [{"operating_points": None, "no_triage": reason} if reason else {} for reason in reasons]
    fusions = tuple(fusion.model_copy(update=change) for fusion, change in zip(parameters.fusion, fused, strict=True))
    return parameters.model_copy(update={"fusion": fusions} | image)


def _no_triage(predictions: Predictions, predictor: Predictor, points: OperatingPoints | None, draws: Floats) -> str:
    """Why a predictor gives no zones; empty where it gives some, or where no label calls for any."""
    label = triage_label(predictions.labels)
    if label is None:
        return ""
    ill = predictions.truth >= predictions.labels.index(label)
    if ill.all() or not ill.any():
        return f"no threshold can be set: {'all' if ill.all() else 'none'} of the films have {label}"
    scores = [score(predictions.labels, shares, label) for shares in predictor.probabilities]
    (area,) = sample(
        lambda weights: {"AUROC": np.mean([measures.auroc(one, ill, weights) for one in scores], axis=0)}, draws
    ).metrics()
    if area.low <= 0.5:
        return (
            f"not shown to beat chance: AUROC for {label} {area.value:.2f} ({area.low:.2f} to {area.high:.2f}) on "
            "films that it was not fitted on"
        )
    return "" if points else "the answers differ too little to be told apart by thresholds"


def apply_to_card(card: Card, evidence: Evidence) -> Card:
    """The card with the figures and the fitted parameters, checked as when it is read."""
    parameters = {name: getattr(evidence.parameters, name) for name in Parameters.model_fields}
    return Card.model_validate(card.model_copy(update={"evaluations": evidence.evaluations} | parameters).model_dump())


def check(predictions: Predictions) -> None:
    """Refuse a table that cannot be evaluated; labels, groups and folds are looked at, answers are not.

    Raises:
        DataError: See `evaluate`.
    """
    if not predictions.ordered:
        raise DataError(
            f"nothing says which of the labels {', '.join(predictions.labels)} is worse, and most figures go by that: "
            "add a column label_rank to the table of predictions, 0 for films of the mildest label, 1 for the next"
        )
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
    rows = Rows(predictions, np.ones_like(predictions.fold, dtype=bool))
    if any(len(set(fitted.truth.tolist())) < 2 for fitted, _ in rows.turns()):
        raise DataError(
            f"of {PARTS_OF_A_FOLD} parts of the held-out groups, all but one have the same label; hold out more groups "
            "of the rare labels"
        )


def _sampled(
    predictions: Predictions, predictor: Predictor, draws: Floats, chosen: Flags | slice = slice(None)
) -> Bootstrap:
    """A predictor's figures on all films or on some, and on every resample."""
    groups = np.array(predictions.groups)[chosen].tolist()
    truth, measured = predictions.truth[chosen], predictions.measured[chosen]
    repeats = [
        Scored(predictions.labels, groups, truth, probabilities[chosen], measured, t_score[chosen], fold[chosen])
        for probabilities, t_score, fold in zip(
            predictor.probabilities, predictor.t_score, predictions.fold, strict=True
        )
    ]
    found = bootstrap(repeats, draws[:, chosen])
    if predictor.name != MAJORITY:
        return found
    # Constant within a fold: what ranking it has comes from small differences between folds, and means nothing.
    return Bootstrap({name: v for name, v in found.point.items() if not name.startswith(_RANKINGS)}, found.resampled)


def _evaluation(
    predictions: Predictions,
    predictor: Predictor,
    sampled: Bootstrap,
    resamples: int,
    chosen: Flags | slice = slice(None),
) -> Evaluation:
    groups = np.array(predictions.groups)[chosen]
    repeats = len(predictions.fold)
    over = f"mean over {repeats} repeats of " if repeats > 1 else ""
    folds = len(np.unique(predictions.fold))
    held_out = f"a held-out set, dealt by group into {PARTS_OF_A_FOLD} folds"
    where = f"{folds} folds of whole groups" if folds > 1 else held_out
    return Evaluation(
        subject=predictor.name,
        protocol=f"{predictor.protocol}; {over}{where}; 95 % percentile intervals from "
        f"{resamples} bootstrap resamples of groups",
        films=len(groups),
        groups=len(set(groups.tolist())),
        metrics=sampled.metrics(),
    )


def _differences(sampled: dict[str, Bootstrap], fact_sets: Sequence[FactSet]) -> tuple[Difference, ...]:
    """Against age and sex, and each fused predictor against the baseline of its own facts."""
    images = [IMAGE, *(fused_name(names) for names in fact_sets)]
    pairs = [(image, "baseline: age and sex") for image in images]
    pairs += [(fused_name(names), f"baseline: {FACTS[names]}") for names in fact_sets]
    return tuple(
        Difference(predictor=image, baseline=baseline, metrics=sampled[image].minus(sampled[baseline]).metrics())
        for image, baseline in dict.fromkeys(pairs)
        if baseline in sampled
    )


def _image_subgroups(predictions: Predictions, predictors: Sequence[Predictor], draws: Floats) -> tuple[Subgroup, ...]:
    image = [predictor for predictor in predictors if predictor.name == IMAGE]
    films = predictions.films
    kinds = {
        "sex": [film.sex for film in films],
        "age": [_age_band(film) for film in films],
        "family": [film.family for film in films],
    }
    return tuple(part for kind, values in kinds.items() for part in _subgroups(predictions, image, kind, values, draws))


def _subgroups(
    predictions: Predictions, predictors: Sequence[Predictor], kind: str, values: Sequence[str], draws: Floats
) -> tuple[Subgroup, ...]:
    """Figures per value, of those with at least ten films; nothing unless there are two values."""
    names = sorted(set(values) - {""})
    if len(names) < 2:
        return ()
    return tuple(
        Subgroup(
            kind=kind,
            value=name,
            evaluation=_evaluation(
                predictions, predictor, _sampled(predictions, predictor, draws, chosen), len(draws), chosen
            ),
        )
        for name in names
        for chosen in [np.array(values) == name]
        if chosen.sum() >= MIN_SUBGROUP
        for predictor in predictors
    )


def _age_band(film: Film) -> str:
    return next((name for name, (low, high) in AGE_BANDS.items() if low <= film.age < high), "")


def _triage(predictions: Predictions, predictor: Predictor, label: str, draws: Floats) -> Triage:
    labels, truth = predictions.labels, predictions.truth
    asked = predictor.zone != ""
    ill = np.broadcast_to(truth >= labels.index(label), predictor.zone.shape)
    inside = {zone: predictor.zone == zone for zone in ZONES}
    aims = {
        f"sensitivity of {REFER} or {UNCERTAIN}": (ill & asked, ~inside[LOW_SUSPICION]),
        f"specificity of {REFER}": (~ill & asked, ~inside[REFER]),
    }

    def share(weights: Floats, whole: Flags, part: Flags) -> Floats:
        """How much of the whole is in the part, all repeats together: bool [R, N] each -> [B]."""
        return np.asarray((weights @ (whole & part).T).sum(axis=1) / (weights @ whole.T).sum(axis=1))

    found = sample(lambda weights: {zone: share(weights, inside[zone], ill) for zone in ZONES}, draws)
    reached = sample(lambda weights: {name: share(weights, *parts) for name, parts in aims.items()}, draws)
    return Triage(
        predictor=predictor.name,
        label=label,
        counts={
            zone: {name: float((inside[zone] & (truth == k)).sum(axis=1).mean()) for k, name in enumerate(labels)}
            for zone in ZONES
        },
        ill={metric.name: metric for metric in found.metrics()},
        reached=reached.metrics(),
    )


def _coverage(predictions: Predictions, predictor: Predictor, draws: Floats) -> Coverage:
    measured = predictions.measured
    known = np.isfinite(predictor.low) & np.isfinite(measured)
    inside = known & (predictor.low <= measured) & (measured <= predictor.high)
    found = sample(
        lambda weights: {"coverage": (weights @ inside.T).sum(axis=1) / (weights @ known.T).sum(axis=1)}, draws
    )
    return Coverage(
        predictor=predictor.name,
        level=LEVEL,
        covered=found.metrics()[0],
        mean_width=float((predictor.high - predictor.low)[known].mean()),
    )


def _ece_by_chance(predictor: Predictor, seed: int) -> float:
    confidences = predictor.probabilities.max(axis=2)
    return float(np.mean([measures.calibration_error_by_chance(row, _CHANCE_TRIALS, seed) for row in confidences]))
