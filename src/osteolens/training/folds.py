"""Splits that never put a group on two sides."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from osteolens.errors import DataError

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)


def assign_folds(labels: Sequence[str], groups: Sequence[str], folds: int, seed: int) -> NDArray[np.int64]:
    """A fold number 0 to `folds` - 1 per film: whole groups, with each label spread evenly.

    Raises:
        DataError: A label occurs in fewer groups than there are folds.
    """
    for label in sorted(set(labels)):
        count = len({group for group, other in zip(groups, labels, strict=True) if other == label})
        if count < folds:
            raise DataError(f"label {label!r} occurs in {count} groups, too few for {folds} folds")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    number = np.empty(len(labels), np.int64)
    for fold, (_, members) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups)):
        number[members] = fold
    return number


def split(
    labels: Sequence[str], groups: Sequence[str], *, validation: float, test: float, seed: int
) -> NDArray[np.str_]:
    """The part of each film, one of `PARTS`; the same for the same arguments.

    Args:
        labels: [N].
        groups: [N]; a group is never in two parts.
        validation: Share of all groups; rounded, as whole folds make up a part (none is smaller than a tenth).
        test: The same.
        seed: Of the shuffle.

    Raises:
        DataError: A label occurs in too few groups to be in every part.
    """
    parts = np.full(len(labels), "train", dtype="U10")
    parts[_share(labels, groups, test, seed)] = "test"
    rest = np.flatnonzero(parts != "test")
    chosen = _share(np.asarray(labels)[rest].tolist(), np.asarray(groups)[rest].tolist(), validation / (1 - test), seed)
    parts[rest[chosen]] = "validation"
    for part in PARTS:
        missing = sorted(set(labels) - {label for label, other in zip(labels, parts, strict=True) if other == part})
        if missing:
            raise DataError(f"no {part} group has the label {missing[0]!r}: add groups, or change data.{part}")
    return parts


def _share(labels: Sequence[str], groups: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Mark about this share of the groups: so many whole folds."""
    fraction = Fraction(share).limit_denominator(10)
    return np.asarray(assign_folds(labels, groups, fraction.denominator, seed) < fraction.numerator)
