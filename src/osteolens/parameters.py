"""Fitted parameters of a model card: calibration, operating points, T-score interval and fusion."""

from collections.abc import Sequence
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

PatientFact = Literal["age", "sex", "weight_kg", "height_m"]
PATIENT_FACTS: tuple[PatientFact, ...] = get_args(PatientFact)
FACT_WORDS: dict[PatientFact, str] = {"age": "age", "sex": "sex", "weight_kg": "weight", "height_m": "height"}


def fact_words(facts: Sequence[PatientFact]) -> str:
    """Facts in words, such as `age, sex, weight and height`; at least one."""
    *first, last = (FACT_WORDS[fact] for fact in facts)
    return f"{', '.join(first)} and {last}" if first else last


class Frozen(BaseModel):
    """A record that refuses unknown keys and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Temperature(Frozen):
    """Temperature scaling: logits / temperature (Guo et al., "On calibration of modern neural networks", 2017)."""

    method: Literal["temperature"] = "temperature"
    temperature: float = Field(gt=0, description="above 1: the model was too sure")


class VectorScaling(Frozen):
    """Vector scaling, per label (Guo et al. 2017): log-probability x scale + bias is the new logit.

    It takes log-probabilities, not logits: an ensemble's logits have another offset than those of its members.
    """

    method: Literal["vector"] = "vector"
    scale: tuple[float, ...]
    bias: tuple[float, ...]


class OperatingPoint(Frozen):
    """Threshold of a score, with sensitivity and specificity on the out-of-fold predictions that it was fitted on."""

    threshold: float = Field(description="a film whose score is at or above it counts as positive")
    sensitivity: float = Field(ge=0, le=1)
    specificity: float = Field(ge=0, le=1)


class OperatingPoints(Frozen):
    """Thresholds of triage; `osteolens.inference.calibration.triage` applies them."""

    label: str = Field(description="the score is the probability of this label and of those after it")
    high_sensitivity: OperatingPoint = Field(description="below its threshold: low suspicion")
    high_specificity: OperatingPoint = Field(description="at its threshold or above: refer, and this rule goes first")
    zones: dict[str, float] = Field({}, description="zone to its share of the stored answers, which must not be 0")

    @model_validator(mode="after")
    def _zones_are_reached(self) -> Self:
        """Refuse a zone without any stored answer: its thresholds were set on another calibration than the card's."""
        crossed = self.high_specificity.threshold <= self.high_sensitivity.threshold
        empty = [zone for zone, share in self.zones.items() if not share and not (crossed and zone == "uncertain")]
        expect(not empty, f"operating points: no stored answer is in the zone {', '.join(empty)}")
        return self


class TScoreInterval(Frozen):
    """A conformal prediction interval: estimate - half width to estimate + half width."""

    half_width: float = Field(gt=0, description="standard deviations from the young adult mean")
    level: float = Field(0.9, ge=0.9, le=0.9, description="share of films whose T-score it is meant to contain")
    covered: float | None = Field(None, ge=0, le=1, description="share of the stored answers whose T-score it contains")


class TScoreFusion(Frozen):
    """A linear T-score: intercept + sum of coefficient x input, with the interval of that estimate."""

    intercept: float
    coefficients: dict[str, float]
    interval: TScoreInterval | None = None


class Fusion(Frozen):
    """A stacked model over the image's answer and the patient's facts; `inference.calibration.read_fused` applies it.

    The logit of label k is intercepts[k] + sum over the inputs of coefficients[input][k] x input. The inputs are
    `log_probability_<label>` (natural logarithm of the calibrated probability), `t_score` (the image's estimate),
    and the patient's `age` (years), `female` (1 or 0), `weight_kg` and `height_m`.
    """

    inputs: tuple[PatientFact, ...] = Field(min_length=1, description="facts about the patient that have to be known")
    intercepts: tuple[float, ...] = Field(description="one per label")
    coefficients: dict[str, tuple[float, ...]] = Field(description="input to one number per label")
    t_score: TScoreFusion | None = None
    operating_points: OperatingPoints | None = None
    no_triage: str = Field("", description="reason for the lack of operating points")

    @property
    def labels_by_image(self) -> bool:
        """Whether the picture has a weight in the labels; without one the answer is that of the facts alone."""
        rows = [row for name, row in self.coefficients.items() if _of_image(name)]
        return not rows or any(map(any, rows))

    @property
    def t_score_by_image(self) -> bool:
        """Whether the picture has a weight in the T-score."""
        weights = self.t_score.coefficients if self.t_score else {}
        return any(weight for name, weight in weights.items() if _of_image(name))


class FittedOn(Frozen):
    """Films that calibration, operating points, intervals and fusions were fitted on: of a single split, or a site."""

    part: Literal["validation", "site"] = "validation"
    films: int = Field(ge=0)
    groups: int = Field(ge=0)
    left_out: dict[str, str] = Field({}, description="parameter to the reason why it could not be fitted")


def _of_image(name: str) -> bool:
    return name == "t_score" or name.startswith("log_probability_")


def fusion_inputs(labels: Sequence[str], facts: Sequence[PatientFact], *, has_t_score: bool) -> tuple[str, ...]:
    """Names of the inputs that a `Fusion` may use, in order."""
    image = (*(f"log_probability_{label}" for label in labels), *(("t_score",) if has_t_score else ()))
    return (*image, *("female" if fact == "sex" else fact for fact in facts))


def expect(condition: bool, problem: str) -> None:
    """Raise ValueError, which pydantic reports with its place, unless a condition holds."""
    if not condition:
        raise ValueError(problem)
