"""Predictors: the image, the image with the patient's facts, and baselines, on films that they were not fitted on."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from osteolens.datasets.films import Film
from osteolens.evaluation import baselines
from osteolens.evaluation.baselines import Baseline
from osteolens.evaluation.calibration import Rows, facts_of
from osteolens.evaluation.evidence import Parameters, Predictor
from osteolens.evaluation.fusion import FACT_SETS, FactSet, fit_parameters
from osteolens.evaluation.predictions import Predictions
from osteolens.evidence import IMAGE as IMAGE
from osteolens.evidence import subject_of
from osteolens.inference.calibration import Reading, read_fused, read_image
from osteolens.parameters import fact_words

FACTS: dict[FactSet, str] = {names: fact_words(names) for names in FACT_SETS}
MAJORITY = "baseline: majority"
ACQUISITION = "baseline: acquisition"
BASELINES: dict[str, tuple[str, Baseline]] = {
    MAJORITY: ("the shares of the labels and the mean T-score", baselines.majority),
    "baseline: file format": ("regression on the format family of the file", baselines.file_format),
    ACQUISITION: (
        "regression on borders, brightness, contrast, sharpness, size, legs and markers of the film, without its bone",
        baselines.acquisition,
    ),
    "baseline: age and sex": ("regression on age and sex", baselines.age_and_sex),
    "baseline: age, sex, weight and height": (
        "regression on age, sex, weight and height",
        baselines.age_sex_weight_and_height,
    ),
}
MIN_OWN_FILMS = 10
_FITTED = "of the other folds of the same repeat"


def fused_name(names: FactSet) -> str:
    """Name of the predictor from the image and these facts."""
    return subject_of(names)


def own_films(predictions: Predictions, name: str) -> NDArray[np.bool_]:
    """Films that say something of a predictor, bool [N]: those with the facts it uses, or all if hardly any has them.

    Without them, what takes the image in answers from the image alone, and a baseline from the median patient.
    """
    names = next((facts for facts, words in FACTS.items() if name in (fused_name(facts), f"baseline: {words}")), ())
    facts = facts_of(predictions.films)
    known = np.all([np.isfinite(facts[fact]) for fact in names], axis=0) if names else np.array(True)
    return np.broadcast_to(known if known.sum() >= MIN_OWN_FILMS else True, len(predictions.films))


def answer_from_images(rows: Rows, fact_sets: Sequence[FactSet], who: str) -> tuple[Predictor, ...]:
    """The image predictor and one for each set of facts; `who` names the model in the protocol.

    For the films of a fold, all parameters are fitted on the out-of-fold predictions of the other folds of that
    repeat. A film whose facts are not known is predicted as the reader does: from fewer facts, or from the image.
    """
    how = f"{who}; calibration, thresholds and intervals from the out-of-fold predictions {_FITTED}"
    steps = ((fit_parameters(fitted, fact_sets)[0], scored) for fitted, scored in rows.turns())
    return _read(rows.predictions, steps, fact_sets, how)


def answer_as_served(predictions: Predictions, parameters: Parameters, how: str) -> tuple[Predictor, ...]:
    """The image predictor and one for each fusion of a card, as a reader with that card predicts."""
    rows = Rows(predictions, np.ones_like(predictions.fold, dtype=bool))
    return _read(predictions, [(parameters, rows)], [fusion.inputs for fusion in parameters.fusion], how)


def _read(
    predictions: Predictions, steps: Iterable[tuple[Parameters, Rows]], fact_sets: Sequence[FactSet], how: str
) -> tuple[Predictor, ...]:
    """Predictors from each step's parameters and rows; `how` opens the protocols."""
    tables = [_Table(predictions) for _ in range(1 + len(fact_sets))]
    for parameters, rows in steps:
        image = read_image(rows.labels, rows.logits, rows.t_score, parameters)
        for table in tables:
            table.put(rows, image)
        for index, fusion in enumerate(parameters.fusion):
            fused = read_fused(rows.labels, image.probabilities, image.t_score, rows.facts, fusion)
            for table in tables[index + 1 :]:
                table.put(rows, fused)
    protocols = [how, *(f"{how}; stacked with {FACTS[names]} on these" for names in fact_sets)]
    names = [IMAGE, *(fused_name(facts) for facts in fact_sets)]
    return tuple(
        table.predictor(name, protocol) for table, name, protocol in zip(tables, names, protocols, strict=True)
    )


def without_withheld_zones(
    predictors: Sequence[Predictor], films: Sequence[Film], parameters: Parameters
) -> tuple[Predictor, ...]:
    """Predictors without the zones of films for which the card gives none.

    Args:
        predictors: The image, then one per fusion, then the baselines.
        films: N films.
        parameters: The card's fitted parameters.
    """
    facts = facts_of(films)
    has_zone = np.full(len(films), parameters.operating_points is not None)
    zoned: list[Predictor] = []
    for predictor, fusion in zip_longest(predictors, [None, *parameters.fusion]):
        if fusion:
            known = np.all([np.isfinite(facts[name]) for name in fusion.inputs], axis=0)
            has_zone = np.where(known, fusion.operating_points is not None, has_zone)
        zoned.append(replace(predictor, zone=np.where(has_zone, predictor.zone, "")))
    return tuple(zoned)


def answer_from_baselines(predictions: Predictions) -> tuple[Predictor, ...]:
    """Predictors of the baselines whose facts the films have.

    Each is fitted on the films that the model of the scored films was trained on: those of the other folds, or the
    training films (and, for the test films, the validation films) of a single split.
    """
    rows, split = Rows(predictions, np.ones_like(predictions.fold, dtype=bool)), predictions.split
    if split and split.training:
        validation = split.validation.films if split.validation else []
        steps = [([*split.training, *validation], rows)]
        where = "training and validation films" if validation else "training films"
    else:
        steps = [([predictions.films[i] for i in fitted.film], scored) for fitted, scored in rows.turns()]
        where = f"films {_FITTED}"
    predictors = []
    for name, (what, baseline) in BASELINES.items():
        table = _Table(predictions)
        for films, scored in steps:
            answer = baseline(films, [predictions.films[i] for i in scored.film], rows.labels)
            if answer is None:
                break
            none = np.full(len(scored.film), np.nan)
            table.put(scored, Reading(*answer, none, none, np.full(len(none), "")))
        else:
            predictors.append(table.predictor(name, f"{what}, fitted on the {where}"))
    return tuple(predictors)


class _Table:
    """Table of one predictor, filled step by step: every film of every repeat."""

    def __init__(self, predictions: Predictions) -> None:
        shape = predictions.fold.shape
        self.probabilities = np.full((*shape, len(predictions.labels)), np.nan)
        self.t_score, self.low, self.high = np.full((3, *shape), np.nan)
        self.zone = np.full(shape, "", "U13")  # room for `low suspicion`

    def put(self, rows: Rows, reading: Reading) -> None:
        """Enter the readings of some rows; a row without a reading stays as it is."""
        present = np.isfinite(reading.probabilities[:, 0])
        places = rows.among(present).chosen
        self.probabilities[places], self.zone[places] = reading.probabilities[present], reading.zone[present]
        for name in ("t_score", "low", "high"):
            getattr(self, name)[places] = getattr(reading, name)[present]

    def predictor(self, name: str, protocol: str) -> Predictor:
        return Predictor(name, protocol, self.probabilities, self.t_score, self.low, self.high, self.zone)
