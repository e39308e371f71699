"""The answer for a film: schema version 1 of the HTTP contract, with what of it leads."""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, computed_field

from osteolens.evidence import AnswerEvidence, Evidence
from osteolens.options import Method
from osteolens.parameters import PatientFact, fact_words
from osteolens.quality import Quality, Side, SideSource

NO_FINDING = "no finding"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


def percent(share: float) -> str:
    """A probability in whole percent that is never shown as impossible or certain."""
    if 0 < share <= 0.005:
        return "below 1%"
    return "above 99%" if 0.995 <= share < 1 else f"{share:.0%}"


class TScore(_Message):
    """Bone density in standard deviations from the young adult mean."""

    estimate: float
    interval_90: tuple[float, float] | None = Field(
        None, description="contains the measured T-score of 90 % of films like those it was fitted on; null without one"
    )


Zone = Literal["refer", "uncertain", "low suspicion"]
"""Triage, from the most to the least suspicious. Low suspicion is not `ruled out`: one ill film in ten is in it."""


class Fused(_Message):
    """The answer from the film together with facts about the patient."""

    inputs: tuple[PatientFact, ...] = Field(description="the options of the request that were used")
    label: str
    probabilities: dict[str, float]
    t_score: TScore | None
    triage: Zone | None


class Spread(_Message):
    """Agreement of the members of an ensemble (models trained on different folds)."""

    members: int
    agreeing: int = Field(description="members whose own most likely label is the answer's")
    low: dict[str, float] = Field(description="per label, the lowest probability of a member, calibrated as the answer")
    high: dict[str, float] = Field(description="per label, the highest, calibrated likewise")


class Film(_Message):
    """Size of the film as it is displayed (orientation applied), in pixels."""

    width: int
    height: int


class Explanation(_Message):
    """A heat map for one class."""

    method: Method
    target: str
    map_png: str = Field(
        description="base64 of an 8-bit grey PNG that covers the film edge to edge, in the film's aspect ratio; "
        "255 is the map's own maximum"
    )
    peak: float = Field(description="the map's maximum before it was scaled to 255; 0 for an empty map")
    strength: float | None = Field(
        None,
        ge=0,
        le=1,
        description="the peak as a share of the usual one, at most 1; usual is the median peak of the Grad-CAM maps "
        "for this class on films of this class from the model's data set; null for other methods, and where the card "
        "has none",
    )


PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the displayed film."""


class Knee(_Message):
    """A knee on the film. It has an answer of its own where the model reads each knee by itself."""

    box: PixelBox = Field(description="the part of the film that a model which reads each knee is shown")
    joint: tuple[float, float] = Field(description="centre of the joint space, from the left and from the top, pixels")
    plateau_width: float = Field(description="width of the tibial plateau in pixels")
    turn: float = Field(description="degrees that the leg is turned clockwise from upright")
    regions: dict[str, PixelBox] = Field(description="femoral shaft, joint and tibial shaft, as far as they are on it")
    side: Side | None = Field(description="null where it is not known")
    side_from: SideSource | None = Field(description="how the side is known")
    label: str | None = Field(None, description="this and what follows: null or empty for a model of whole films")
    probabilities: dict[str, float] | None = None
    t_score: TScore | None = None
    fold_spread: Spread | None = None
    triage: Zone | None = None
    explanations: tuple[Explanation, ...] = ()


class ModelInfo(_Message):
    """Which model answered."""

    name: str
    version: str
    card_sha256: str


class Timing(_Message):
    """Milliseconds spent on this film; the model's share is its batch's time divided by the batch size."""

    decode: float
    model: float
    explain: float


class Lead(_Message):
    """What of an answer counts, in short: every surface leads with this, and shows the rest as the model's output."""

    part: Literal["image", "fused", "none"] = Field(description="the part that leads; none: nothing is shown to count")
    headline: str = Field(
        description="the leading label, with what it grades where it does not say so and with the facts it needed; or "
        "`no finding`"
    )
    text: str = Field(description="the headline with what it comes from, or with why there is none")
    sentence: str = Field(description="the evidence behind it")
    label: str | None = None
    probability: float | None = Field(None, description="of that label")
    t_score: TScore | None = None
    triage: Zone | None = None
    helpful_facts: tuple[PatientFact, ...] = Field(
        (), description="where nothing leads: facts about the patient with which this model's answer would"
    )


class Part(NamedTuple):
    """A part of an answer: what it comes from, its numbers, and whether it leads; if not, it is the model's output."""

    source: str
    answer: "Answer | Fused"
    leads: bool


class Answer(_Message):
    """The answer for one film."""

    schema_version: Literal[1] = Field(1, alias="schema")
    id: str = Field(description="the request's id")
    label: str = Field(
        description="the most likely one, from the film alone: the model's output, which is a finding only if it leads"
    )
    probabilities: dict[str, float] = Field(description="calibrated where the model's card has a calibration")
    t_score: TScore | None
    fold_spread: Spread | None = Field(None, description="null for a single model")
    triage: Zone | None = Field(
        None, description="null for a model without operating points, and for one that is not shown to beat chance"
    )
    fused: Fused | None = Field(None, description="null unless the model has a fusion and its facts were given")
    evidence: AnswerEvidence | None = Field(
        None, description="what the model was shown to know; null in answers of version 0.1, which lead with nothing"
    )
    quality: Quality
    film: Film
    explanations: tuple[Explanation, ...]
    knees: tuple[Knee, ...] = Field(
        (),
        description="from left to right; a model that reads each knee answers for the film as for the worse of them; "
        "empty where the model's folder has no joint finder",
    )
    model: ModelInfo
    timing_ms: Timing

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The film's own answer and the one with the patient's facts, the leading one first."""
        parts = [Part("film alone", self, self.lead.part == "image")]
        if self.fused:
            parts.append(Part(f"with {fact_words(self.fused.inputs)}", self.fused, self.lead.part == "fused"))
        return tuple(sorted(parts, key=lambda part: not part.leads))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def lead(self) -> Lead:
        """The film alone where it is shown to beat chance, else the film with the patient's facts, else no finding."""
        evidence, fused = self.evidence, self.fused
        if not self.quality.accepted:  # answered on request: what the model was shown to know, it was of other pictures
            why = "; ".join(reason.message for reason in self.quality.reasons) or "the picture was refused"
            sentence = "The picture was refused, and answered on request: no figure of this model holds for it."
            return Lead(part="none", headline=NO_FINDING, text=f"{NO_FINDING}: {why}", sentence=sentence)
        if evidence is None:
            why = "this answer came without evidence of what its model knows"
            return Lead(part="none", headline=NO_FINDING, text=f"{NO_FINDING}: {why}", sentence=f"T{why[1:]}.")
        behind = evidence.of(fused.inputs) if fused else None
        if evidence.image.beats_chance:
            return _lead("image", self, evidence, evidence.image)
        if fused and behind and behind.beats_chance:
            return _lead("fused", fused, evidence, behind)
        why, sentence = (behind or evidence.image).doubt, (behind or evidence.image).sentence
        text = f"{NO_FINDING}: {why}"
        helpful = evidence.helpful_facts
        return Lead(part="none", headline=NO_FINDING, text=text, sentence=sentence, helpful_facts=helpful)


def _lead(part: Literal["image", "fused"], answer: Answer | Fused, evidence: AnswerEvidence, behind: Evidence) -> Lead:
    name = evidence.names(answer.label)
    return Lead(
        part=part,
        headline=f"{name} with {fact_words(behind.inputs)}" if behind.inputs else name,
        text=f"{name} from {behind.source}",
        sentence=behind.sentence,
        label=answer.label,
        probability=answer.probabilities[answer.label],
        t_score=answer.t_score,
        triage=answer.triage,
    )
