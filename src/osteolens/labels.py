"""Labels: the class names, the WHO definition behind them, and their order."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from osteolens.errors import DataError

Label = Literal["normal", "osteopenia", "osteoporosis"]

LABELS: tuple[Label, ...] = get_args(Label)
"""The classes in order of falling bone density; a model's card may name others."""

SEVERITY = (*LABELS, "severe osteoporosis")
"""All labels whose order is known, the mildest first; the last one is osteoporosis with a fracture (WHO)."""

OSTEOPENIA_BELOW = -1.0
OSTEOPOROSIS_AT = -2.5


def label_from_t_score(t_score: float) -> Label:
    """Label of a T-score (standard deviations from the young adult mean).

    Source: WHO Technical Report Series 843 (1994): normal at -1.0 and above, osteoporosis at -2.5 and
    below, osteopenia in between.
    """
    if t_score <= OSTEOPOROSIS_AT:
        return "osteoporosis"
    if t_score < OSTEOPENIA_BELOW:
        return "osteopenia"
    return "normal"


def usual(label: str) -> str:
    """Usual spelling of a known label (`osteoporosis` for `Osteoporosis`); any other label unchanged."""
    plain = " ".join(label.casefold().split())
    return plain if plain in SEVERITY else label


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels without repeats: known ones from mild to severe, then the others in natural order."""
    different = set(labels)
    known = sorted(
        (label for label in different if usual(label) in SEVERITY),
        key=lambda label: (SEVERITY.index(usual(label)), label),
    )
    return *known, *in_natural_order(different - set(known))


def have_order(labels: Iterable[str]) -> bool:
    """Whether the names alone say which label is worse: all are known, or all are numbers."""
    names = list(labels)
    return are_numbers(names) or all(usual(label) in SEVERITY for label in names)


def in_natural_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort labels without repeats as people do: 0, 2, 10 and KL2, KL10.

    Labels that are all numbers sort by value, so that -1 comes before 0.5. Others sort by their text, whatever its
    case, with the whole numbers in it by value. This is an order of names, and one of severity only if the
    labels are numbers.
    """
    different = sorted(set(labels))
    if are_numbers(different):
        return tuple(sorted(different, key=float))
    return tuple(sorted(different, key=_natural))


def are_numbers(labels: Iterable[str]) -> bool:
    """Whether all labels are finite numbers, such as the grades 0 to 4."""
    try:
        return all(math.isfinite(float(label)) for label in labels)
    except ValueError:
        return False


def _natural(label: str) -> list[str | int]:
    # Splitting at a bracketed pattern returns text and number in turn, so that lists compare part by part.
    return [int(part) if index % 2 else part.casefold() for index, part in enumerate(re.split("([0-9]+)", label))]


def label_order(labels: Iterable[str], order: Sequence[str] = (), border: str = "") -> tuple[str, ...]:
    """The labels that occur, from least to most severe: figures, losses and triage go by this order.

    Args:
        labels: The label of each film.
        order: All labels as in `data.labels`; without it their names must imply the order.
        border: The label of `data.border`, which may be any but the first.

    Raises:
        DataError: There are fewer than two labels, `order` or `border` does not fit them, or there is no order.
    """
    names = _ordered(labels, order)
    if border and border not in names[1:]:
        raise DataError(
            f"data.border is {border!r}, expected the label from which on a film counts as ill: one of "
            f"{', '.join(names[1:])}"
        )
    return names


def _ordered(labels: Iterable[str], order: Sequence[str]) -> tuple[str, ...]:
    names = in_order(labels)
    if len(names) < 2:
        raise DataError(f"a model needs films of at least two labels, found only {', '.join(names) or 'none'}")
    if order:
        return _checked_order(names, tuple(usual(label) for label in order))
    if not have_order(names):
        raise DataError(
            f"nothing says which of the labels {', '.join(names)} is worse, and figures, losses and triage go by that: "
            f"add to [data] the line labels = {json.dumps(names, ensure_ascii=False)}, sorted from least to most severe"
        )
    return names


def _checked_order(names: Sequence[str], order: tuple[str, ...]) -> tuple[str, ...]:
    """Check that `data.labels` names each label once and leaves the known ones in their order."""
    if sorted(order) != sorted(names):
        raise DataError(
            f"data.labels names {', '.join(order)}, the films have the labels {', '.join(names)}; name each of those "
            f"once, such as labels = {json.dumps(names, ensure_ascii=False)}"
        )
    known = [label for label in order if label in SEVERITY]
    if known != list(in_order(known)):
        right = ", ".join(in_order(known))
        raise DataError(f"data.labels sorts {', '.join(known)}; from least to most severe it is {right}")
    return order
