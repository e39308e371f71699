"""Figures of predictors: over all films, over subgroups, in triage zones and T-score intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from osteolens.card import Difference, Evaluation
from osteolens.datasets.films import Film
from osteolens.evaluation import measures
from osteolens.evaluation.calibration import LEVEL, PARTS_OF_A_FOLD
from osteolens.evaluation.evidence import Coverage, Predictor, Subgroup, Triage
from osteolens.evaluation.fusion import FactSet
from osteolens.evaluation.metrics import Bootstrap, Scored, bootstrap, sample
from osteolens.evaluation.predictions import Predictions
from osteolens.evaluation.predictors import FACTS, IMAGE, MAJORITY, fused_name, own_films
from osteolens.inference.calibration import LOW_SUSPICION, REFER, UNCERTAIN, ZONES

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
MIN_SUBGROUP = 10
AGE_BANDS = {"under 45": (-np.inf, 45), "45 to 59": (45, 60), "60 and over": (60, np.inf)}
_RANKINGS = ("AUROC", "average precision", "T-score Pearson r")
_CHANCE_TRIALS = 2000
_HELD_OUT = {
    "": f"a held-out set, split by group into {PARTS_OF_A_FOLD} folds",
    "test": "held-out groups, which chose nothing",
    "validation": "a trial: scored on the validation groups, which also chose the epoch: the figures flatter the model",
}


def sampled_figures(
    predictions: Predictions, predictor: Predictor, draws: Floats, chosen: Flags | slice = slice(None)
) -> Bootstrap:
    """A predictor's figures on its own films (`own_films`) or on some of them, and on every resample."""
    where = _own_among(predictions, predictor, chosen)
    table, answers, draws = predictions.among(where), predictor.among(where), draws[:, where]
    rows = zip(answers.probabilities, answers.t_score, table.fold, strict=True)
    repeats = [
        Scored(table.labels, table.groups, table.truth, shares, table.measured, t_score, fold, table.family)
        for shares, t_score, fold in rows
    ]
    sampled = bootstrap(repeats, draws)
    if predictor.name != MAJORITY:
        return sampled
    # Constant within a fold: it ranks films only by small differences between folds, which mean nothing.
    return Bootstrap(
        {name: v for name, v in sampled.point.items() if not name.startswith(_RANKINGS)}, sampled.resampled
    )


def _own_among(predictions: Predictions, predictor: Predictor, chosen: Flags | slice) -> Flags:
    own = np.zeros(len(predictions.films), bool)
    own[chosen] = own_films(predictions, predictor.name)[chosen]
    return own


def evaluation(
    predictions: Predictions,
    predictor: Predictor,
    sampled: Bootstrap,
    resamples: int,
    chosen: Flags | slice = slice(None),
) -> Evaluation:
    """Evaluation of a predictor on its own films or on some of them, with the protocol in words."""
    own = _own_among(predictions, predictor, chosen)
    groups = np.array(predictions.groups)[own]
    repeats = len(predictions.fold)
    over = f"mean over {repeats} repeats of " if repeats > 1 else ""
    folds = len(np.unique(predictions.fold))
    where = (
        f"{folds} folds of whole groups"
        if folds > 1
        else _HELD_OUT[predictions.split.scored if predictions.split else ""]
    )
    known = "" if own_films(predictions, predictor.name).all() else "; films with these facts"
    return Evaluation(
        subject=predictor.name,
        protocol=f"{predictor.protocol}{known}; {over}{where}; 95 % percentile intervals from "
        f"{resamples} bootstrap resamples of groups",
        films=len(groups),
        groups=len(set(groups.tolist())),
        metrics=sampled.metrics(),
    )


def differences(
    predictions: Predictions,
    predictors: Sequence[Predictor],
    draws: Floats,
    fact_sets: Sequence[FactSet],
    sampled: Mapping[str, Bootstrap],
) -> tuple[Difference, ...]:
    """Differences from the baseline of age and sex, and of each fused predictor from the baseline of its own facts.

    Both are measured on the films that have the facts of both; `sampled` has each predictor's figures on its own films.
    """
    named = {predictor.name: predictor for predictor in predictors}
    images = [IMAGE, *(fused_name(names) for names in fact_sets)]
    pairs = [(image, "baseline: age and sex") for image in images]
    pairs += [(fused_name(names), f"baseline: {FACTS[names]}") for names in fact_sets]
    rows = []
    for image, baseline in dict.fromkeys(pairs):
        if baseline in named:
            own = {name: own_films(predictions, name) for name in (image, baseline)}
            common = own[image] & own[baseline]
            ours, theirs = (
                sampled[name] if (common == films).all() else sampled_figures(predictions, named[name], draws, common)
                for name, films in own.items()
            )
            rows.append(Difference(predictor=image, baseline=baseline, metrics=ours.minus(theirs).metrics()))
    return tuple(rows)


def image_subgroups(predictions: Predictions, predictors: Sequence[Predictor], draws: Floats) -> tuple[Subgroup, ...]:
    """Figures of the image alone by sex, age band and format family."""
    image = [predictor for predictor in predictors if predictor.name == IMAGE]
    films = predictions.films
    kinds = {
        "sex": [film.sex for film in films],
        "age": [_age_band(film) for film in films],
        "family": [film.family for film in films],
    }
    return tuple(part for kind, values in kinds.items() for part in subgroups(predictions, image, kind, values, draws))


def subgroups(
    predictions: Predictions, predictors: Sequence[Predictor], kind: str, values: Sequence[str], draws: Floats
) -> tuple[Subgroup, ...]:
    """Figures for each value with at least ten films; empty unless there are two values."""
    names = sorted(set(values) - {""})
    if len(names) < 2:
        return ()
    return tuple(
        Subgroup(
            kind=kind,
            value=name,
            evaluation=evaluation(
                predictions, predictor, sampled_figures(predictions, predictor, draws, chosen), len(draws), chosen
            ),
        )
        for name in names
        for predictor in predictors
        for chosen in [_own_among(predictions, predictor, np.array(values) == name)]
        if chosen.sum() >= MIN_SUBGROUP
    )


def _age_band(film: Film) -> str:
    return next((name for name, (low, high) in AGE_BANDS.items() if low <= film.age < high), "")


def triage_zones(predictions: Predictions, predictor: Predictor, label: str, draws: Floats) -> Triage:
    """Films in each of a predictor's zones, and the rates reached; `label` and those after it count as ill."""
    labels, truth = predictions.labels, predictions.truth
    zoned = predictor.zone != ""
    ill = np.broadcast_to(truth >= labels.index(label), predictor.zone.shape)
    inside = {zone: predictor.zone == zone for zone in ZONES}
    aims = {
        f"sensitivity of {REFER} or {UNCERTAIN}": (ill & zoned, ~inside[LOW_SUSPICION]),
        f"specificity of {REFER}": (~ill & zoned, ~inside[REFER]),
    }

    def share(weights: Floats, whole: Flags, part: Flags) -> Floats:
        """Share of the whole that is in the part, all repeats together: bool [R, N] each -> [B]."""
        return np.asarray((weights @ (whole & part).T).sum(axis=1) / (weights @ whole.T).sum(axis=1))

    ill_shares = sample(lambda weights: {zone: share(weights, inside[zone], ill) for zone in ZONES}, draws)
    reached = sample(lambda weights: {name: share(weights, *parts) for name, parts in aims.items()}, draws)
    return Triage(
        predictor=predictor.name,
        label=label,
        counts={
            zone: {name: float((inside[zone] & (truth == k)).sum(axis=1).mean()) for k, name in enumerate(labels)}
            for zone in ZONES
        },
        ill={metric.name: metric for metric in ill_shares.metrics()},
        reached=reached.metrics(),
    )


def interval_coverage(predictions: Predictions, predictor: Predictor, draws: Floats) -> Coverage | None:
    """Coverage of the T-score intervals; None without an interval or without a measured T-score."""
    measured = predictions.measured
    known = np.isfinite(predictor.low) & np.isfinite(measured)
    inside = known & (predictor.low <= measured) & (measured <= predictor.high)
    covered = sample(
        lambda weights: {"coverage": (weights @ inside.T).sum(axis=1) / (weights @ known.T).sum(axis=1)}, draws
    ).metrics()
    if not covered:
        return None
    return Coverage(
        predictor=predictor.name,
        level=LEVEL,
        covered=covered[0],
        mean_width=float((predictor.high - predictor.low)[known].mean()),
    )


def ece_by_chance(predictor: Predictor, seed: int) -> float:
    """ECE that perfectly calibrated predictions would stay below in 19 of 20 cases, on so few films."""
    confidences = predictor.probabilities.max(axis=2)
    return float(np.mean([measures.calibration_error_by_chance(row, _CHANCE_TRIALS, seed) for row in confidences]))
