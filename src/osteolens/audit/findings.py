"""The pictures of an audit, and its findings."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from osteolens.audit.copies import Match
from osteolens.audit.pictures import Seen
from osteolens.audit.rows import DataSet, Row

Severity = Literal["leak", "fault", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("leak", "fault", "warning", "note")


@dataclass(frozen=True)
class Collection:
    """The audited pictures and those they are compared with, numbered through.

    Attributes:
        data: The audited data set; its rows have the lowest numbers.
        compare: The other one, if any.
        rows: All rows.
        seen: The readable pictures by number.
        problems: Why the others cannot be read, by number.
        matches: Pairs of pictures with a part in common.
        origin: int64 [N]; pictures have the same number if a chain of matches joins them.
    """

    data: DataSet
    compare: DataSet | None
    rows: tuple[Row, ...]
    seen: Mapping[int, Seen]
    problems: Mapping[int, str]
    matches: tuple[Match, ...]
    origin: NDArray[np.int64]

    def is_own(self, number: int) -> bool:
        """Whether a picture is of the audited data set."""
        return number < len(self.data.rows)

    @property
    def own(self) -> range:
        """Numbers of the audited pictures."""
        return range(len(self.data.rows))

    def by_origin(self) -> list[list[int]]:
        """Numbers of the pictures of each origin that has more than one, an audited one among them."""
        return self.together({number: str(origin) for number, origin in enumerate(self.origin.tolist())})

    def together(self, keys: Mapping[int, str]) -> list[list[int]]:
        """Numbers that share a key that is not empty: lists of more than one, an audited one among them."""
        sets: dict[str, list[int]] = {}
        for number, key in keys.items():
            if key:
                sets.setdefault(key, []).append(number)
        return [numbers for numbers in sets.values() if len(numbers) > 1 and self.is_own(numbers[0])]

    def data_set(self, number: int) -> str:
        """The name of the data set that a picture is of."""
        return self.data.name if self.is_own(number) or self.compare is None else self.compare.name

    @property
    def comparable(self) -> bool:
        """Whether the two data sets have a label in common (or there is only one)."""
        if self.compare is None:
            return True
        ours, theirs = ({label for row in rows.rows for label in row.labels} for rows in (self.data, self.compare))
        return not ours.isdisjoint(theirs)


@dataclass(frozen=True)
class Finding:
    """One thing that a reader should know.

    Attributes:
        kind: A short name for machines, such as `picture-on-both-sides`.
        severity: `leak` means that scores on this split are not to be believed.
        title: What was found, in one sentence.
        meaning: Why it matters, in plain words.
        advice: What to do about it.
        count: How many the title names.
        matches: Pairs of pictures to show.
        numbers: Pictures to list.
        lines: Further facts, one a line.
    """

    kind: str
    severity: Severity
    title: str
    meaning: str
    advice: str
    count: int
    matches: tuple[Match, ...] = ()
    numbers: tuple[int, ...] = ()
    lines: tuple[str, ...] = ()


def by_importance(findings: Iterable[Finding]) -> list[Finding]:
    """Leaks first; the order within a severity stays."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def verdict(findings: Iterable[Finding], split: bool) -> str:
    """The whole audit in one sentence.

    Args:
        findings: All of them.
        split: Whether any pictures are on a side of a split.
    """
    counts = Counter(finding.severity for finding in findings)
    rest = counts["fault"] + counts["warning"]
    others = f"{many(rest, 'other finding')} below {'needs' if rest == 1 else 'need'} a look" if rest else ""
    if counts["leak"]:
        also = f"; {others}" if others else ""
        return f"The split leaks: scores measured on it are too good and must not be believed{also}."
    if not split:
        start = "No split was given, so no leak could be looked for"
    else:
        start = "No leak was found: no patient and no picture is on two sides of the split"
    return f"{start}{', but ' + others if others else ''}."


def many(count: int, what: str, plural: str = "") -> str:
    """A count in words, such as `1 picture` or `1,200 pictures`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {plural or what + 's'}"
