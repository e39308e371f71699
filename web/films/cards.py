"""Model cards beside the app, for what an answer does not carry: operating points, and evidence for early answers."""

from functools import lru_cache

from django.conf import settings

from osteolens.card import CARD_FILE, Card, load_card
from osteolens.errors import CardError
from osteolens.evidence import evidence_of
from osteolens.parameters import PatientFact
from osteolens.schema import Answer


def card_of(model: str, sha256: str) -> Card | None:
    """The card that an answer names, if it is at hand."""
    card = _load(model) if model.isidentifier() else None
    return card if card and card.sha256 == sha256 else None


def with_evidence(answer: Answer) -> Answer:
    """The answer, with its card's evidence where it came without (version 0.1) and the card is at hand."""
    if answer.evidence is not None:
        return answer
    card = card_of(answer.model.name, answer.model.card_sha256)
    return answer.model_copy(update={"evidence": evidence_of(card)}) if card else answer


def helpful_facts(model: str) -> tuple[PatientFact, ...]:
    """Facts with which a model's answer counts, where from the film alone it does not; none without its card."""
    card = _load(model) if model.isidentifier() else None
    return evidence_of(card).helpful_facts if card else ()


def condition_of(model: str) -> str:
    """What a model's labels grade; empty without its card."""
    card = _load(model) if model.isidentifier() else None
    return evidence_of(card).condition if card else ""


@lru_cache(32)
def _load(model: str) -> Card | None:
    folder = settings.CARDS_FOLDER / model
    if not (folder / CARD_FILE).is_file():
        return None
    try:
        return load_card(folder, check_weights=False)
    except CardError:
        return None  # of another schema: the answer stands without it
