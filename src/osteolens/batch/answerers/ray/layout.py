"""The columns of the results: those of the batches over HTTP."""

# mypy: disable-error-code="import-untyped"
import json
from collections.abc import Iterable, Sequence

import pyarrow as pa

from osteolens.batch.rows import Kind
from osteolens.batch.tables import Layout
from osteolens.card import Card

_ARROW: dict[Kind, pa.DataType] = {
    "text": pa.string(), "real": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_()
}  # fmt: skip


def layout_of(cards: Sequence[Card], carried: Iterable[str], *, facts: bool) -> Layout:
    """The layout of all answers of some models.

    Args:
        cards: Of the models.
        carried: The inputs' own columns.
        facts: Whether anything is known of any patient: then there may be answers from it too.
    """
    labels = tuple(dict.fromkeys(label for card in cards for label in card.labels))
    fused = tuple(dict.fromkeys(label for card in cards if card.fusion for label in card.labels))
    layout = Layout(labels, fused if facts else (), {})
    taken = {column.name for column in layout.columns}
    for name in carried:
        free = name
        while free in taken:
            free = f"input_{free}"
        layout.carried[name] = free
        taken.add(free)
    return layout


def schema_of(layout: Layout) -> pa.Schema:
    """The columns with their types."""
    return pa.schema([(column.name, _ARROW[column.kind]) for column in layout.columns])


def carried_names(films: pa.Table) -> list[str]:
    """The inputs' own columns, as they first come."""
    texts = films["carried"].unique().to_pylist()
    return list(dict.fromkeys(name for text in texts for name in json.loads(text)))


def any_facts(films: pa.Table) -> bool:
    """Whether anything is known of any patient."""
    return bool(set(films["facts"].unique().to_pylist()) - {"{}"})
