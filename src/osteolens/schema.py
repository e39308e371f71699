"""The HTTP contract, schema version 1: request options and answers."""

import base64
import hashlib
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, computed_field

from osteolens.errors import ExplanationNotReady, InputError, InvalidOption
from osteolens.evidence import AnswerEvidence, Evidence
from osteolens.parameters import PatientFact, fact_words

Method = Literal[
    "none", "gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "gradcamelementwise",
    "finercam", "eigencam", "eigengradcam", "kpcacam", "fem", "ablationcam", "scorecam",
]  # fmt: skip
"""Explanations that a request may choose; all but `none` are methods of the grad-cam package."""

PERTURBING: frozenset[Method] = frozenset({"scorecam"})
"""Methods that change the film itself and so run the whole model, once per channel: a minute, not a moment."""

ALL_TARGETS = "all"
DIGEST_HEADER = "Content-Digest"
HEADER_PREFIX = "X-OsteoLens-"
NO_FINDING = "no finding"


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


class Options(BaseModel):
    """The options of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    explain: Annotated[Method, BeforeValidator(_lower)] = "gradcam"
    target: str | None = Field(
        None, description="a label, or `all` for a map of every class; default: the predicted label"
    )
    age: float | None = Field(None, ge=0, le=120, description="years")
    sex: Annotated[Literal["female", "male"], BeforeValidator(_lower)] | None = None
    weight_kg: float | None = Field(None, ge=2, le=400)
    height_m: float | None = Field(None, ge=0.3, le=2.5)
    force: bool = Field(False, description="answer a picture that the gate refuses, too")


OPTION_NAMES = tuple(Options.model_fields)
_EXAMPLES = {
    "explain": "gradcam", "target": "osteoporosis", "age": "63", "sex": "female", "weight_kg": "71.5",
    "height_m": "1.62", "force": "true",
}  # fmt: skip


def header_name(option: str) -> str:
    """The request header of an option: `weight_kg` is sent as `X-OsteoLens-Weight-Kg`."""
    return HEADER_PREFIX + "-".join(part.capitalize() for part in option.split("_"))


def parse_options(values: Mapping[str, str], labels: tuple[str, ...]) -> Options:
    """Check the options of a request.

    Args:
        values: Option name to text, as sent; empty texts count as not sent.
        labels: The model's labels, which `target` may name.

    Raises:
        InvalidOption: Names the option, what was found, and a valid value.
    """
    try:
        options = Options.model_validate({name: text for name, text in values.items() if text.strip()})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise InvalidOption(f"unknown option {name!r}", f"options are {', '.join(OPTION_NAMES)}") from None
        raise InvalidOption(
            f"option {name} is {values[name][:80]!r}: {first['msg']}", f"for example {name}={_EXAMPLES[name]}"
        ) from None
    if options.target is None:
        return options
    target = _target(options.target, (*labels, ALL_TARGETS))
    if target is None:
        raise InvalidOption(
            f"option target is {options.target[:80]!r}, which is not a label of this model",
            f"one of {', '.join((*labels, ALL_TARGETS))}",
        )
    return options.model_copy(update={"target": target})


def _target(text: str, targets: tuple[str, ...]) -> str | None:
    """Target that a text names, in any case.

    Headers hold only ASCII, so it may be percent-encoded; UTF-8 in a header arrives decoded as Latin-1.
    """
    names = {_plain(target): target for target in targets} | {target: target for target in targets}
    spellings = [text, _plain(text), _plain(unquote(text))]
    with suppress(UnicodeError):
        spellings.append(_plain(text.encode("latin-1").decode("utf-8")))
    return next((names[spelling] for spelling in spellings if spelling in names), None)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip().casefold()


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


Side = Literal["left", "right"]
SideSource = Literal["header", "position", "fibula"]
"""How a side is known: from the DICOM header; as the right leg is on the left of a film of both; or from the side that
the fibula, which is lateral, is on."""


class Source(_Message):
    """What the header of a DICOM film says of film and patient; null where it says nothing that can be used."""

    body_part: str | None = Field(None, description="of PS3.16 Annex L, such as KNEE")
    view: str | None = Field(None, description="view position, such as AP")
    side: Side | None = None
    pixel_spacing_mm: tuple[float, float] | None = Field(None, description="between rows, between columns")
    age: float | None = Field(None, description="years")
    sex: Literal["female", "male"] | None = None
    weight_kg: float | None = None
    height_m: float | None = None


class Reason(_Message):
    """Why a picture is not answered."""

    code: str = Field(description="stable, for programs: such as `not_a_knee`, see docs/gate.md")
    message: str = Field(description="what was found and what is expected, in one sentence")


class Quality(_Message):
    """Whether the picture looks like a film that the model can read."""

    accepted: bool = True
    reasons: tuple[Reason, ...] = Field((), description="why it is not accepted")
    warnings: tuple[str, ...] = ()
    unfamiliarity: float | None = Field(
        None,
        ge=0,
        description="distance from the model's training films; 97 % of films like them stay below 1; null where the "
        "model has no gate, or was not run",
    )
    source: Source | None = Field(None, description="null unless the film is DICOM")

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of an answer should know: of one that was forced, why it should not count, and the warnings."""
        return (*(reason.message for reason in self.reasons), *self.warnings)


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
    headline: str = Field(description="the leading label with the facts it needed, or `no finding`")
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
            return _lead("image", self, evidence.image)
        if fused and behind and behind.beats_chance:
            return _lead("fused", fused, behind)
        why, sentence = (behind or evidence.image).doubt, (behind or evidence.image).sentence
        text = f"{NO_FINDING}: {why}"
        helpful = evidence.helpful_facts
        return Lead(part="none", headline=NO_FINDING, text=text, sentence=sentence, helpful_facts=helpful)


def _lead(part: Literal["image", "fused"], answer: Answer | Fused, evidence: Evidence) -> Lead:
    return Lead(
        part=part,
        headline=f"{answer.label} with {fact_words(evidence.inputs)}" if evidence.inputs else answer.label,
        text=f"{answer.label} from {evidence.source}",
        sentence=evidence.sentence,
        label=answer.label,
        probability=answer.probabilities[answer.label],
        t_score=answer.t_score,
        triage=answer.triage,
    )


class Refusal(_Message):
    """The row in place of an answer for a picture that is not a film which the model can read."""

    schema_version: Literal[1] = Field(1, alias="schema")
    id: str = Field(description="the request's id")
    label: None = None
    probabilities: dict[str, float] = Field({}, max_length=0)
    t_score: None = None
    fold_spread: None = None
    triage: None = None
    fused: None = None
    quality: Quality = Field(description="`accepted` is false, and `reasons` say why")
    film: Film
    explanations: tuple[Explanation, ...] = Field((), max_length=0)
    model: ModelInfo
    timing_ms: Timing

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class FilmRefused(InputError):
    """A picture is not answered; `force=true` has it answered all the same.

    Args:
        row: What the server sends in place of an answer.
    """

    status = 200

    def __init__(self, row: Refusal) -> None:
        super().__init__(
            "; ".join(reason.message for reason in row.quality.reasons), "force=true has it answered all the same"
        )
        self.code = row.quality.reasons[0].code
        self.row = row


class ErrorDetail(_Message):
    """Fault of a request, with what to do about it."""

    code: str
    message: str
    hint: str = ""
    retry_after: int | None = Field(
        None, exclude_if=lambda value: value is None, description="seconds until the same request may succeed"
    )


class ErrorAnswer(_Message):
    """The response in place of an answer."""

    schema_version: Literal[1] = Field(1, alias="schema")
    error: ErrorDetail

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    @classmethod
    def of(cls, error: InputError) -> "ErrorAnswer":
        """The answer for an input error."""
        wait = error.retry_after if isinstance(error, ExplanationNotReady) else None
        return cls(error=ErrorDetail(code=error.code, message=error.message, hint=error.hint, retry_after=wait))


Row = Answer | Refusal | ErrorAnswer
_rows: TypeAdapter[Row | list[Row]] = TypeAdapter(Row | list[Row])


def dump(rows: Row | list[Row]) -> bytes:
    """JSON of one row, or of a list of rows."""
    return _rows.dump_json(rows, by_alias=True)


def parse(body: bytes) -> Row | list[Row]:
    """Read JSON that `dump` wrote.

    Raises:
        pydantic.ValidationError: The body does not follow the schema.
    """
    return _rows.validate_json(body)


def content_digest(body: bytes) -> str:
    """Value of `DIGEST_HEADER`, by which a client sees that a body arrived as it was sent.

    Source: RFC 9530, Digest Fields, with SHA-256.
    """
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
