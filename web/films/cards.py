"""Model cards beside the app, for what an answer does not carry: the operating points."""

from functools import lru_cache

from django.conf import settings

from osteolens.card import CARD_FILE, Card, load_card
from osteolens.errors import CardError


def card_of(model: str, sha256: str) -> Card | None:
    """The card that an answer names, if it is at hand."""
    card = _load(model) if model.isidentifier() else None
    return card if card and card.sha256 == sha256 else None


@lru_cache(32)
def _load(model: str) -> Card | None:
    folder = settings.CARDS_FOLDER / model
    if not (folder / CARD_FILE).is_file():
        return None
    try:
        return load_card(folder, check_weights=False)
    except CardError:
        return None  # of another schema: the answer stands without it
