"""Evidence about a model from its stored predictions, as data: pages, cards and files are written from it."""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from osteolens.card import Difference, Evaluation, Metric
from osteolens.evaluation.predictions import Predictions
from osteolens.parameters import FittedOn, Frozen, Fusion, OperatingPoints, Temperature, TScoreInterval, VectorScaling

Floats = NDArray[np.float64]
Method = Literal["none", "temperature", "vector"]
METHODS: tuple[Method, ...] = get_args(Method)


class Parameters(Frozen):
    """All parameters of a card that are fitted on predictions of films that the model had not seen."""

    calibration: Temperature | VectorScaling | None = None
    operating_points: OperatingPoints | None = None
    t_score_interval: TScoreInterval | None = None
    fusion: tuple[Fusion, ...] = ()
    no_triage: str = ""
    fitted_on: FittedOn | None = Field(None, exclude_if=lambda value: value is None)


class Subgroup(Frozen):
    """Figures on a part of the films."""

    kind: str = Field(description="`source`, `sex`, `age` or `family`")
    value: str = Field(description="such as `female` or `45 to 59`")
    evaluation: Evaluation


class Triage(Frozen):
    """Films in each triage zone of a predictor; zones from the most to the least suspicious."""

    predictor: str
    label: str = Field(description="what counts as ill: this label and those after it")
    counts: dict[str, dict[str, float]] = Field(description="zone to label to films, mean over repeats")
    ill: dict[str, Metric] = Field(description="zone to the share of its films that are ill; none for an empty zone")
    reached: tuple[Metric, ...] = Field(
        description="sensitivity of refer or uncertain, and specificity of refer: what the operating points, meant for "
        "90 %, reach on films that they were not fitted on"
    )


class Coverage(Frozen):
    """Share of measured T-scores inside a predictor's T-score intervals."""

    predictor: str
    level: float = Field(description="nominal coverage")
    covered: Metric
    mean_width: float = Field(description="from low to high, standard deviations")


class Candidate(Frozen):
    """Figures of a calibration method under cross-fitting, means over repeats; lower is better for each."""

    method: Method
    log_loss: float = Field(description="natural logarithm; the method with the lowest is chosen")
    ece: float
    brier: float


class Choice(Frozen):
    """Chosen calibration method, with the figures of all candidates."""

    method: Method
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Predictor:
    """Predictions for every film of every repeat, never fitted on that film.

    Attributes:
        name: `image`, `baseline: majority`, `baseline: file format`, `baseline: acquisition`,
            `baseline: age and sex`, `baseline: age, sex, weight and height`, `image + age and sex`,
            `image + age, sex, weight and height`.
        protocol: How its predictions were made, without the full stop.
        probabilities: float64 [R, N, K].
        t_score: float64 [R, N]; NaN where there is none.
        low: float64 [R, N], lower end of the T-score interval; NaN where there is none.
        high: float64 [R, N], upper end.
        zone: str [R, N], triage zone; empty where there is none.
    """

    name: str
    protocol: str
    probabilities: Floats
    t_score: Floats
    low: Floats
    high: Floats
    zone: NDArray[np.str_]

    def among(self, chosen: NDArray[np.bool_]) -> "Predictor":
        """The same for some of the films, bool [N]."""
        names = ("probabilities", "t_score", "low", "high", "zone")
        return replace(self, **{name: getattr(self, name)[:, chosen] for name in names})


@dataclass(frozen=True)
class Evidence:
    """Everything that is computed from a table of predictions.

    Attributes:
        predictions: The table.
        predictors: The image first, then the image with the patient's facts, then the baselines.
        evaluations: Figures of each predictor, in the same order; and, where the films' acquisition was measured, those
            of the image beyond it.
        differences: The image and each fused predictor against the age-and-sex baseline, and each fused predictor
            against the baseline of its own facts, which is what the image adds; empty without these baselines.
        per_source: Figures of each predictor per source, where there are at least two.
        subgroups: Figures of the image predictor by sex, age band and format family.
        triage: One per predictor with operating points, over the films with a zone.
        coverage: One per predictor with T-score intervals.
        ece_by_chance: By predictor, the ECE that perfectly calibrated predictions would stay below on so few films
            in 19 of 20 cases.
        calibration: The candidates and the choice.
        parameters: Parameters of the card, fitted on all rows.
    """

    predictions: Predictions
    predictors: tuple[Predictor, ...]
    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]
    per_source: tuple[Subgroup, ...]
    subgroups: tuple[Subgroup, ...]
    triage: tuple[Triage, ...]
    coverage: tuple[Coverage, ...]
    ece_by_chance: dict[str, float]
    calibration: Choice
    parameters: Parameters

    def dump(self) -> dict[str, Any]:
        """Everything except the table and the single predictions, as plain JSON values."""
        names = ("evaluations", "differences", "per_source", "subgroups", "triage", "coverage")
        parts = {name: [part.model_dump(mode="json") for part in getattr(self, name)] for name in names}
        return {
            **parts,
            "ece_by_chance": self.ece_by_chance,
            "calibration": self.calibration.model_dump(mode="json"),
            "parameters": self.parameters.model_dump(mode="json"),
        }
