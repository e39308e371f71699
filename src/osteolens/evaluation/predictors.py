"""What the image, the image with the patient's facts, and the baselines say of films that they were not fitted on."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from osteolens.datasets.films import Film
from osteolens.evaluation import baselines
from osteolens.evaluation.baselines import Baseline
from osteolens.evaluation.calibration import Rows, facts_of
from osteolens.evaluation.evidence import Parameters, Predictor
from osteolens.evaluation.fusion import FactSet, fit_parameters
from osteolens.evaluation.predictions import Predictions
from osteolens.inference.calibration import Reading, read_fused, read_image

IMAGE = "image"
FACTS: dict[FactSet, str] = {
    ("age", "sex"): "age and sex",
    ("age", "sex", "weight_kg", "height_m"): "age, sex, weight and height",
}
MAJORITY = "baseline: majority"
BASELINES: dict[str, tuple[str, Baseline]] = {
    MAJORITY: ("the shares of the labels and the mean T-score", baselines.majority),
    "baseline: file format": ("regression on the format family of the file", baselines.file_format),
    "baseline: age and sex": ("regression on age and sex", baselines.age_and_sex),
    "baseline: age, sex, weight and height": (
        "regression on age, sex, weight and height",
        baselines.age_sex_weight_and_height,
    ),
}
_FITTED = "of the other folds of the same repeat"


def fused_name(names: FactSet) -> str:
    """The predictor of the image and these facts."""
    return f"{IMAGE} + {FACTS[names]}"


def answer_from_images(rows: Rows, fact_sets: Sequence[FactSet], who: str) -> tuple[Predictor, ...]:
    """The image predictor and one for each set of facts; `who` answered, in words for the protocol.

    For the films of a fold, all parameters are fitted on the out-of-fold predictions of the other folds of that
    repeat. A film whose facts are not known gets the answer that the reader gives it: from fewer facts, or from
    the image.
    """
    answers = [_Answers(rows.predictions) for _ in range(1 + len(fact_sets))]
    for fitted, asked in rows.turns():
        parameters, _ = fit_parameters(fitted, fact_sets)
        image = read_image(asked.labels, asked.logits, asked.t_score, parameters)
        for answer in answers:
            answer.put(asked, image)
        for index, fusion in enumerate(parameters.fusion):
            fused = read_fused(asked.labels, image.probabilities, image.t_score, asked.facts, fusion)
            for answer in answers[index + 1 :]:
                answer.put(asked, fused)
    how = f"{who}; calibration, thresholds and intervals from the out-of-fold predictions {_FITTED}"
    protocols = [how, *(f"{how}; stacked with {FACTS[names]} on these" for names in fact_sets)]
    names = [IMAGE, *(fused_name(facts) for facts in fact_sets)]
    return tuple(
        answer.predictor(name, protocol) for answer, name, protocol in zip(answers, names, protocols, strict=True)
    )


def without_withheld_zones(
    predictors: Sequence[Predictor], films: Sequence[Film], parameters: Parameters
) -> tuple[Predictor, ...]:
    """The predictors without the zones that came from a part of the card that gives none.

    Args:
        predictors: The image, then one per fusion, then the baselines.
        films: N of them.
        parameters: Of the card.
    """
    facts = facts_of(films)
    gives = np.full(len(films), parameters.operating_points is not None)
    kept: list[Predictor] = []
    for predictor, fusion in zip_longest(predictors, [None, *parameters.fusion]):
        if fusion:
            known = np.all([np.isfinite(facts[name]) for name in fusion.inputs], axis=0)
            gives = np.where(known, fusion.operating_points is not None, gives)
        kept.append(replace(predictor, zone=np.where(gives, predictor.zone, "")))
    return tuple(kept)


def answer_from_baselines(rows: Rows) -> tuple[Predictor, ...]:
    """The baselines that the films have the facts for, each fitted on all films of the other folds."""
    found = []
    for name, (what, baseline) in BASELINES.items():
        answers = _Answers(rows.predictions)
        for fitted, asked in rows.turns():
            films = rows.predictions.films
            answer = baseline([films[i] for i in fitted.film], [films[i] for i in asked.film], rows.labels)
            if answer is None:
                break
            none = np.full(len(asked.film), np.nan)
            answers.put(asked, Reading(*answer, none, none, np.full(len(none), "")))
        else:
            found.append(answers.predictor(name, f"{what}, fitted on the films {_FITTED}"))
    return tuple(found)


class _Answers:
    """Room for one predictor's answers about every film of every repeat."""

    def __init__(self, predictions: Predictions) -> None:
        shape = predictions.fold.shape
        self.probabilities = np.full((*shape, len(predictions.labels)), np.nan)
        self.t_score, self.low, self.high = np.full((3, *shape), np.nan)
        self.zone = np.full(shape, "", "U13")

    def put(self, rows: Rows, reading: Reading) -> None:
        """Enter what was said about some rows; films without an answer keep what they have."""
        said = np.isfinite(reading.probabilities[:, 0])
        places = rows.among(said).chosen
        self.probabilities[places], self.zone[places] = reading.probabilities[said], reading.zone[said]
        for name in ("t_score", "low", "high"):
            getattr(self, name)[places] = getattr(reading, name)[said]

    def predictor(self, name: str, protocol: str) -> Predictor:
        return Predictor(name, protocol, self.probabilities, self.t_score, self.low, self.high, self.zone)
