"""The columns of the results: those of the batches over HTTP."""

# mypy: disable-error-code="import-untyped"
import json
from collections.abc import Iterable, Sequence

import pyarrow as pa

from osteolens.batch.outputs.tables import Layout
from osteolens.card import Card


def layout_of(cards: Sequence[Card], carried: Iterable[str], *, facts: bool) -> Layout:
    """The layout of all answers of some models.

    Args:
        cards: Of the models.
        carried: The inputs' own columns.
        facts: Whether anything is known of any patient: then there may be answers from it too.
    """
    labels = tuple(dict.fromkeys(label for card in cards for label in card.labels))
    fused = tuple(dict.fromkeys(label for card in cards if card.fusion for label in card.labels))
    return Layout.around(labels, fused if facts else (), carried)


def carried_names(films: pa.Table) -> list[str]:
    """The inputs' own columns, as they first come."""
    texts = films["carried"].unique().to_pylist()
    return list(dict.fromkeys(name for text in texts for name in json.loads(text)))


def any_facts(films: pa.Table) -> bool:
    """Whether anything is known of any patient."""
    return bool(set(films["facts"].unique().to_pylist()) - {"{}"})
