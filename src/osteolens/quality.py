"""What a film's header and picture say before a model reads it: side, facts, and reasons not to answer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


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
    """Why a picture is not answered, or what was done to it first."""

    code: str = Field(description="stable, for programs: such as `not_a_knee`, see docs/gate.md")
    message: str = Field(description="what was found and what is expected, or was done, in one sentence")


class Quality(_Message):
    """Whether the picture looks like a film that the model can read."""

    accepted: bool = True
    reasons: tuple[Reason, ...] = Field((), description="why it is not accepted")
    warnings: tuple[str, ...] = ()
    corrections: tuple[Reason, ...] = Field(
        (),
        description="what was done to a film that lay turned or inverted before it was read: `turned_90`, "
        "`turned_180`, `turned_270`, `inverted`; places and maps of the answer are those of the film as it was sent",
    )
    unfamiliarity: float | None = Field(
        None,
        ge=0,
        description="distance from the model's training films; 97 % of films like them stay below 1; null where the "
        "model has no gate, or was not run",
    )
    source: Source | None = Field(None, description="null unless the film is DICOM")

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of an answer should know: why a forced one should not count, what was righted, and warnings."""
        return (*(each.message for each in (*self.reasons, *self.corrections)), *self.warnings)
