"""Pictures counted and described by label, part, source and device family."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from osteolens.audit.findings import Collection, Finding, many
from osteolens.audit.pictures import Facts
from osteolens.audit.shortcuts import SOURCE, as_column
from osteolens.labels import in_order

WOMEN = ("f", "female", "woman", "w")
"""Also in a column `gender`, whose words are not read as those of `sex` are."""
_FEW, _UNEVEN = 10, 4
"""Labels are uneven if one has fewer pictures than the first, or another has so many times more."""
_ALIKE = 0.015
"""Sizes within 1.5 % of each other are one family: scanners cut a row or column more or less."""
_SMALL = 0.01
"""Families of fewer than three pictures, or of less than this share, are put together."""


@dataclass(frozen=True)
class Profile:
    """One line of a table: some pictures of the audited data set, described.

    Attributes:
        name: What they have in common.
        pictures: How many.
        groups: Number of patients; 0 where unknown.
        labels: Pictures by label.
        brightness: Mean grey and its standard deviation over the pictures.
        size: Median width and height, pixels.
        age: Lower quartile, median and upper quartile in years; None where unknown.
        women: Share of those whose sex is known; None where it is unknown of all.
    """

    name: str
    pictures: int
    groups: int
    labels: Mapping[str, int]
    brightness: tuple[float, float] | None
    size: tuple[int, int] | None
    age: tuple[float, float, float] | None
    women: float | None


def profiles(collection: Collection) -> dict[str, list[Profile]]:
    """Tables by what divides the pictures; one that would have a single line without a name is left out."""
    rows = collection.rows
    keys = {
        "label": {number: " and ".join(rows[number].labels) or "no label" for number in collection.own},
        "part": {number: rows[number].part for number in collection.own},
        SOURCE: {number: rows[number].values.get(SOURCE, "") for number in collection.own},
        "device family": families(collection),
    }
    return {
        name: [_profile(collection, key, numbers) for key, numbers in _ordered(name, divided)]
        for name, divided in keys.items()
        if any(divided.values())
    }


def balance_findings(labels: Sequence[Profile]) -> Iterator[Finding]:
    """Labels that are rare, or far rarer than others."""
    # Without the lines of pictures that have no label, or several.
    named = [profile for profile in labels if profile.name in profile.labels]
    if len(named) < 2:
        return
    rarest, largest = (choose(named, key=lambda profile: profile.pictures) for choose in (min, max))
    if rarest.pictures < _FEW or largest.pictures >= _UNEVEN * rarest.pictures:
        yield Finding(
            "class-balance",
            "note",
            f"Labels are uneven: {many(largest.pictures, 'picture')} of {largest.name}, {rarest.pictures} of "
            f"{rarest.name}.",
            "Plain accuracy rewards naming the largest class, and figures for the rarest one rest on few pictures.",
            "Use balanced accuracy or AUROC, with intervals.",
            rarest.pictures,
        )


def families(collection: Collection) -> dict[int, str]:
    """A name for each readable picture of its own: file type, colour, device and about its size.

    Sizes gather around the most frequent ones, so that a family is what one device (or one export) makes.
    """
    facts = {number: collection.seen[number].facts for number in collection.own if number in collection.seen}
    centres: list[tuple[str, int, int]] = []
    for (kind, width, height), _ in Counter(_kind(picture) for picture in facts.values()).most_common():
        # From the most frequent size on, so that a family is named after what its device usually makes.
        if not any(_alike((kind, width, height), centre) for centre in centres):
            centres.append((kind, width, height))
    names = {
        number: next("{}, about {} x {}".format(*centre) for centre in centres if _alike(_kind(picture), centre))
        for number, picture in facts.items()
    }
    sizes = Counter(names.values())
    least = max(3, _SMALL * len(names))
    return {number: name if sizes[name] >= least else "other sizes" for number, name in names.items()}


def _kind(facts: Facts) -> tuple[str, int, int]:
    names = [facts.format, "grey" if facts.colour[:1] in "LI1F" else "colour", facts.device]
    return " ".join(name for name in names if name), facts.width, facts.height


def _alike(first: tuple[str, int, int], second: tuple[str, int, int]) -> bool:
    return first[0] == second[0] and all(
        abs(math.log(side / other)) <= _ALIKE for side, other in zip(first[1:], second[1:], strict=True)
    )


def _ordered(name: str, keys: Mapping[int, str]) -> list[tuple[str, list[int]]]:
    """Values with their pictures: labels in their order, others with most pictures first."""
    sets: dict[str, list[int]] = {}
    for number, key in keys.items():
        sets.setdefault(key or "unknown", []).append(number)
    if name == "label":
        return [(label, sets[label]) for label in in_order(sets)]
    return sorted(sets.items(), key=lambda item: (-len(item[1]), item[0]))


def _profile(collection: Collection, name: str, numbers: Sequence[int]) -> Profile:
    rows = [collection.rows[number] for number in numbers]
    facts = [collection.seen[number].facts for number in numbers if number in collection.seen]
    grey = np.array([picture.brightness for picture in facts])
    counts = Counter(label for row in rows for label in row.labels)
    return Profile(
        name,
        len(rows),
        len({row.group for row in rows if row.group}),
        {label: counts[label] for label in in_order(counts)},
        (float(grey.mean()), float(grey.std())) if facts else None,
        (_median([picture.width for picture in facts]), _median([picture.height for picture in facts]))
        if facts
        else None,
        _quartiles(_cells(collection, numbers, ("age",))),
        _women(_cells(collection, numbers, ("sex", "gender"))),
    )


def _cells(collection: Collection, numbers: Sequence[int], names: Sequence[str]) -> list[str]:
    """The cells of the first column of such a name, whatever its case; none where the table has no such column."""
    column = next((name for name in collection.data.columns if name.lower() in names), None)
    return [] if column is None else [collection.rows[number].values.get(column, "") for number in numbers]


def _median(values: Sequence[int]) -> int:
    return round(float(np.median(values)))


def _quartiles(cells: Sequence[str]) -> tuple[float, float, float] | None:
    known = [value for value in as_column(cells) if isinstance(value, float) and value == value] if cells else []
    if not known:
        return None
    low, middle, high = np.percentile(known, (25, 50, 75)).tolist()
    return low, middle, high


def _women(cells: Sequence[str]) -> float | None:
    known = [cell.lower() for cell in cells if cell]
    return sum(cell in WOMEN for cell in known) / len(known) if known else None
