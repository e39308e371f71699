"""The rows of a response, schema version 1 of the HTTP contract: an answer, a refusal or an error; as JSON and back."""

import base64
import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from osteolens.errors import ExplanationNotReady, InputError
from osteolens.quality import Quality
from osteolens.schema import Answer, Explanation, Film, ModelInfo, Timing

DIGEST_HEADER = "Content-Digest"


class Refusal(BaseModel):
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


class ErrorDetail(BaseModel):
    """Fault of a request, with what to do about it."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    hint: str = ""
    retry_after: int | None = Field(
        None, exclude_if=lambda value: value is None, description="seconds until the same request may succeed"
    )


class ErrorAnswer(BaseModel):
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
