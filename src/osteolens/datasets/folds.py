"""Splits and folds that never divide a group."""

from collections import Counter
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
    """Assign each film a fold, 0 to `folds` - 1: whole groups, with each label spread evenly.

    Raises:
        DataError: A label occurs in fewer groups than there are folds.
    """
    label, count = _rarest(labels, groups)
    if count < folds:
        raise DataError(f"label {label!r} occurs in {count} groups, too few for {folds} folds")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    number = np.empty(len(labels), np.int64)
    for fold, (_, members) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups)):
        number[members] = fold
    return number


def split(
    labels: Sequence[str],
    groups: Sequence[str],
    *,
    validation: float,
    test: float,
    seed: int,
    held_out: Sequence[bool] = (),
) -> NDArray[np.str_]:
    """Assign each film a part, one of `PARTS`; the same for the same arguments.

    Args:
        labels: Label of each film, [N].
        groups: Group of each film, [N]; a group is never in two parts.
        validation: Share of all groups for validation, 0 for none; rounded, as a part consists of whole folds (at least
            a tenth of the groups).
        test: The same for the test part, above 0.
        seed: Random seed for the shuffle.
        held_out: [N], the films of the test part; if none are, the part is drawn.

    Raises:
        DataError: A label occurs in too few groups to be in every part, or a group is held out and is not.
    """
    parts = np.full(len(labels), "train", dtype="U10")
    if any(held_out):
        parts[np.asarray(held_out)] = "test"
        _refuse_shared(groups, parts)
        test = len({group for group, out in zip(groups, held_out, strict=True) if out}) / len(set(groups))
    else:
        parts[_share(labels, groups, test, seed, "test")] = "test"
    if validation:
        mark_validation(parts, labels, groups, validation / (1 - test), seed)
    for part in PARTS if validation else ("train", "test"):
        missing = sorted(set(labels) - {label for label, other in zip(labels, parts, strict=True) if other == part})
        if missing:
            raise DataError(f"no {part} group has the label {missing[0]!r}: add groups, or change data.{part}")
    return parts


def mark_validation(
    parts: NDArray[np.str_], labels: Sequence[str], groups: Sequence[str], share: float, seed: int
) -> None:
    """Turn about this share of the groups that are not test into `validation`, in place.

    Raises:
        DataError: There are too few groups.
    """
    rest = np.flatnonzero(parts != "test")
    chosen = _share(np.asarray(labels)[rest].tolist(), np.asarray(groups)[rest].tolist(), share, seed, "validation")
    parts[rest[chosen]] = "validation"


def _refuse_shared(groups: Sequence[str], parts: NDArray[np.str_]) -> None:
    sides = {(group, bool(part == "test")) for group, part in zip(groups, parts, strict=True)}
    shared = sorted(group for group in set(groups) if len(sides & {(group, True), (group, False)}) == 2)
    if shared:
        raise DataError(
            f"{len(shared)} groups are held out and trained on at once, the first is {shared[0]!r}: "
            "give all rows of a group the same value in the held-out column"
        )


def _share(labels: Sequence[str], groups: Sequence[str], share: float, seed: int, part: Part) -> NDArray[np.bool_]:
    """Mark about this share of the groups: whole folds, at least a tenth."""
    # Equal folds are all that StratifiedGroupKFold makes: 0.15 becomes 1 fold of 7, 0.25 1 of 4.
    fraction = max(Fraction(share).limit_denominator(10), Fraction(1, 10))
    if fraction >= 1:
        raise DataError(f"data.{part} leaves no group to train on: take a smaller share, or fewer test films")
    label, count = _rarest(labels, groups)
    if count < fraction.denominator:
        raise DataError(
            f"label {label!r} occurs in {count} groups, too few to take {fraction.numerator} of every "
            f"{fraction.denominator} as {part} groups: add groups, or change data.{part}"
        )
    return np.asarray(assign_folds(labels, groups, fraction.denominator, seed) < fraction.numerator)


def _rarest(labels: Sequence[str], groups: Sequence[str]) -> tuple[str, int]:
    """Label that occurs in the fewest groups, with their number."""
    counts = Counter(label for label, _ in {*zip(labels, groups, strict=True)})
    return min(sorted(counts.items()), key=lambda item: item[1])
