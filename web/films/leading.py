"""What a film's answer leads with, for every page, list, file and reply: from `Answer.lead`, decided nowhere else."""

from typing import Any

from films.cards import with_evidence
from films.models import Film, Reading
from osteolens.schema import Answer


def answer_of(reading: Reading) -> Answer:
    """The stored answer, its maps left out."""
    return with_evidence(Answer.model_validate(reading.row))


def columns_of(reading: Reading) -> dict[str, Any]:
    """Columns of a film's row that repeat its main answer."""
    answer = answer_of(reading)
    lead = answer.lead
    return {
        "model": reading.model,
        "model_version": reading.model_version,
        "lead": lead.part,
        "headline": lead.headline[:200],
        "label": (lead.label or lead.headline)[:100],
        "probability": lead.probability,
        "t_score": lead.t_score.estimate if lead.t_score else None,
        "triage": lead.triage or "",
        "output": reading.label,
        "warnings": list(answer.quality.remarks),
        "answered_facts": reading.facts,
    }


def is_outdated(film: Film, reading: Reading) -> bool:
    """Whether the facts that an answer was made from have changed since."""
    return bool(reading.facts != film.facts)
