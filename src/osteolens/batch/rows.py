"""The columns of a result's row, named once for the journal, the tables and the documentation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from osteolens.files import as_text
from osteolens.schema import Answer, Fused

Kind = Literal["text", "real", "integer", "boolean"]
Value = str | float | int | bool | None
Row = dict[str, Value]

Status = Literal["answered", "refused", "failed", "pending"]
FINAL: tuple[Status, ...] = ("answered", "refused")
"""Statuses of films that are not sent again while the file stays as it is."""


@dataclass(frozen=True)
class Column:
    """A column of the results.

    Attributes:
        name: In the journal and in both tables.
        kind: What its values are; any may be missing.
        meaning: For people.
    """

    name: str
    kind: Kind
    meaning: str


COLUMNS: tuple[Column, ...] = (
    Column("file", "text", "the film as it was named: a path, or what the table's column `file` says"),
    Column("path", "text", "the file that was opened, absolute"),
    Column("id", "text", "the table's own name for the row"),
    Column("sha256", "text", "of the file's bytes"),
    Column("bytes", "integer", "the file's size"),
    Column("model", "text", "the name that was asked"),
    Column(
        "status",
        "text",
        "`answered`; `refused`: the film or its facts cannot be used; `failed`: asked again by the next call",
    ),
    Column("finding", "text", "the label that the answer leads with, or `no finding`: see `evidence`"),
    Column("finding_from", "text", "`image`, `fused` (with the patient's facts) or `none`"),
    Column("finding_probability", "real", "of the finding"),
    Column("finding_triage", "text", "`refer`, `uncertain` or `low suspicion`"),
    Column("evidence", "text", "what the model was shown to know, which decides the finding"),
    Column("label", "text", "the model's output from the film alone: the most likely label"),
    Column("t_score", "real", "estimate, from the film alone"),
    Column("t_score_low", "real", "lower end of its 90 % interval"),
    Column("t_score_high", "real", "upper end"),
    Column("triage", "text", "triage from the film alone"),
    Column("fused_label", "text", "the most likely one, from the film and the patient's facts"),
    Column("fused_t_score", "real", "estimate, likewise"),
    Column("fused_t_score_low", "real", "lower end of its 90 % interval"),
    Column("fused_t_score_high", "real", "upper end"),
    Column("fused_triage", "text", "triage, likewise"),
    Column("fused_inputs", "text", "the facts that were used, comma separated"),
    Column("members", "integer", "models in the ensemble"),
    Column("members_agreeing", "integer", "of them, those with the same label"),
    Column("accepted", "boolean", "whether the gate accepts the picture; no: the answer was forced"),
    Column("warnings", "text", "on the film's quality, one a line; of a forced answer also why it should not count"),
    Column("unfamiliarity", "real", "how far the picture is from those the model knows"),
    Column("knees", "text", "each knee's box, side and own answer, if it has one, as a JSON list from left to right"),
    Column("width", "integer", "of the film as displayed, in pixels"),
    Column("height", "integer", "likewise"),
    Column("explanation", "text", "the heat map's method"),
    Column("explanation_target", "text", "the class it is for"),
    Column("explanation_peak", "real", "its maximum; 0 for an empty map"),
    Column("overlay", "text", "picture of the film under its heat map, relative to the output folder"),
    Column("error_code", "text", "why there is no answer, in one word"),
    Column("error_message", "text", "the same for people, with a hint"),
    Column("age", "text", "years, as sent"),
    Column("sex", "text", "as sent"),
    Column("weight_kg", "text", "as sent"),
    Column("height_m", "text", "as sent"),
    Column("model_name", "text", "as the model calls itself"),
    Column("model_version", "text", "version on its card"),
    Column("card_sha256", "text", "which card, exactly"),
    Column("server", "text", "address that was asked"),
    Column("request_id", "text", "the server's id of the request"),
    Column("attempts", "integer", "requests until there was an answer; 0 for a copy of the same film's answer"),
    Column("latency_ms", "real", "from sending to the last byte of the answer"),
    Column("decode_ms", "real", "the server's time to decode the film"),
    Column("model_ms", "real", "its share of the model's time"),
    Column("explain_ms", "real", "the time for the heat map"),
    Column("answered_at", "text", "when the row was written, UTC"),
)

SHARES, FUSED_SHARES = "probability", "fused_probability"
"""Beside these there is a column per label: `probability_osteoporosis`, `fused_probability_osteoporosis`."""

AGREEMENT = Column("models_agreeing", "integer", "how many of the asked models give this row's label, itself counted")


def answer_columns(answer: Answer) -> tuple[Row, dict[str, float], dict[str, float]]:
    """An answer as columns.

    Returns:
        The columns that an answer fills, the probabilities by label, and the fused ones (empty without any).
    """
    low, high = _interval(answer)
    lead, spread, quality, timing = answer.lead, answer.fold_spread, answer.quality, answer.timing_ms
    row: Row = {
        "status": "answered",
        "finding": lead.label or lead.headline,
        "finding_from": lead.part,
        "finding_probability": lead.probability,
        "finding_triage": lead.triage,
        "evidence": lead.sentence,
        "border": answer.evidence.border if answer.evidence else None,  # for the journal alone
        "label": answer.label,
        "t_score": answer.t_score.estimate if answer.t_score else None,
        "t_score_low": low,
        "t_score_high": high,
        "triage": answer.triage,
        "members": spread.members if spread else None,
        "members_agreeing": spread.agreeing if spread else None,
        "accepted": quality.accepted,
        "warnings": "\n".join(quality.remarks) or None,
        "unfamiliarity": quality.unfamiliarity,
        "knees": knees_text(answer),
        "width": answer.film.width,
        "height": answer.film.height,
        "model_name": answer.model.name,
        "model_version": answer.model.version,
        "card_sha256": answer.model.card_sha256,
        "request_id": answer.id,
        "decode_ms": timing.decode,
        "model_ms": timing.model,
        "explain_ms": timing.explain,
        "answered_at": now(),
    }
    for explanation in answer.explanations[:1]:
        row |= {
            "explanation": explanation.method,
            "explanation_target": explanation.target,
            "explanation_peak": explanation.peak,
        }
    fused = answer.fused
    if fused is None:
        return row, answer.probabilities, {}
    return row | _fused_columns(fused), answer.probabilities, fused.probabilities


def knees_text(answer: Answer) -> str | None:
    """The knees as JSON, without their maps; None where none were found."""
    knees = [knee.model_dump(mode="json", exclude={"explanations"}, exclude_none=True) for knee in answer.knees]
    return json.dumps(knees) if knees else None


def failure_columns(status: Status, code: str, message: str) -> Row:
    """The columns of a film without an answer."""
    return {"status": status, "error_code": code, "error_message": as_text(message), "answered_at": now()}


def now() -> str:
    """The time in UTC, as ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _fused_columns(fused: Fused) -> Row:
    low, high = _interval(fused)
    return {
        "fused_label": fused.label,
        "fused_t_score": fused.t_score.estimate if fused.t_score else None,
        "fused_t_score_low": low,
        "fused_t_score_high": high,
        "fused_triage": fused.triage,
        "fused_inputs": ",".join(fused.inputs),
    }


def _interval(answer: Answer | Fused) -> tuple[float | None, float | None]:
    return (answer.t_score and answer.t_score.interval_90) or (None, None)


def probability_columns(prefix: str, shares: Mapping[str, float], labels: tuple[str, ...]) -> Row:
    """One column per label, in their order; labels that a model does not have are missing."""
    return {f"{prefix}_{label}": shares.get(label) for label in labels}
