"""The page of an audit: the verdict, each finding with its pictures side by side, then the tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from osteolens import __version__
from osteolens.audit.copies import SIMILAR, Match
from osteolens.audit.findings import Collection, Finding
from osteolens.audit.forest import RESAMPLES
from osteolens.audit.result import Audit
from osteolens.audit.shortcuts import Shortcut
from osteolens.reports.pages import figure_url, picture_url, render

PAIRS, PICTURES, LINES, FILES = 6, 6, 12, 20
"""How many of each a finding shows."""
TABLE_LINES = 20
_BOX = (220, 40, 40)
_SIDE = 300


@dataclass(frozen=True)
class Shown:
    """A picture in the page."""

    url: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A finding with the pictures and files that are shown of it."""

    finding: Finding
    pairs: list[tuple[Shown, Shown, str]]
    pictures: list[Shown]
    files: list[str]


def audit_page(audit: Audit) -> str:
    """The whole page as HTML."""
    collection = audit.collection
    tests = {
        target: [shortcut for shortcut in audit.shortcuts if shortcut.target == target]
        for target in ("label", "source")
    }
    return render(
        "audit.html",
        version=__version__,
        audit=audit,
        collection=collection,
        sections=[_section(collection, finding) for finding in audit.findings],
        tests={target: shortcuts for target, shortcuts in tests.items() if shortcuts},
        charts={target: figure_url(_chart(shortcuts)) for target, shortcuts in tests.items() if shortcuts},
        columns={name: _columns(audit, name) for name in audit.tables},
        unreadable=sum(collection.is_own(number) for number in collection.problems),
        resamples=f"{RESAMPLES:,}",
        similar=SIMILAR,
        most_lines=LINES,
        most_files=FILES,
        table_lines=TABLE_LINES,
    )


def _section(collection: Collection, finding: Finding) -> Section:
    # Pictures of a finding without pairs; notes are about most of a data set, where examples tell nothing.
    alone = not finding.matches and finding.severity != "note"
    readable = [number for number in finding.numbers if number in collection.seen] if alone else []
    return Section(
        finding,
        [_pair(collection, match) for match in _varied(collection, finding.matches)],
        [_shown(collection, number) for number in readable[:PICTURES]],
        [_title(collection, number) for number in finding.numbers] if not finding.lines else [],
    )


def _varied(collection: Collection, matches: Sequence[Match]) -> list[Match]:
    """Pairs to show: of different films first, and of each kind in turn."""
    origins: set[int] = set()
    kinds: Counter[str] = Counter()
    turns = []
    for number, match in enumerate(matches):
        origin = int(collection.origin[match.first])
        turns.append((origin in origins, kinds[match.kind], number))
        kinds[match.kind] += 1
        origins.add(origin)
    return [matches[number] for _, _, number in sorted(turns)[:PAIRS]]


def _pair(collection: Collection, match: Match) -> tuple[Shown, Shown, str]:
    """The two pictures, with the outline of the second on the first, and what the second is."""
    source = np.stack([collection.seen[match.first].small] * 3, axis=-1)
    if match.kind in ("cut", "overlap"):
        _draw(source, match)
    relation = f"{match.describe()} (correlation of detail {match.similarity:.2f})"
    return (
        Shown(picture_url(source, _SIDE), _caption(collection, match.first)),
        _shown(collection, match.second),
        relation,
    )


def _shown(collection: Collection, number: int) -> Shown:
    return Shown(picture_url(collection.seen[number].small, _SIDE), _caption(collection, number))


def _draw(picture: NDArray[np.uint8], match: Match) -> None:
    height, width = picture.shape[:2]
    corners = np.rint(np.array(match.outline) * (width - 1, height - 1)).astype(np.int32)
    cv2.polylines(picture, [corners], True, _BOX, thickness=max(2, max(height, width) // 150))


def _title(collection: Collection, number: int) -> str:
    row = collection.rows[number]
    return row.file if collection.compare is None else f"{collection.data_set(number)}: {row.file}"


def _caption(collection: Collection, number: int) -> str:
    """File, label, group and part of a picture."""
    row = collection.rows[number]
    facts = [
        _title(collection, number),
        f"label {' and '.join(row.labels)}" if row.labels else "no label",
        f"group {row.group}" if row.group else "",
        f"part {row.part}" if row.part else "",
    ]
    return ", ".join(fact for fact in facts if fact)


def _columns(audit: Audit, name: str) -> dict[str, object]:
    """Which columns a table of profiles has; one that would be empty is left out."""
    profiles = audit.tables[name]
    labels = list(dict.fromkeys(label for profile in audit.tables["label"] for label in profile.labels))
    return {
        "groups": any(profile.groups for profile in profiles),
        "labels": [] if name == "label" else labels,
        "age": any(profile.age for profile in profiles),
        "women": any(profile.women is not None for profile in profiles),
    }


def _chart(shortcuts: Sequence[Shortcut]) -> Figure:
    """Mean AUROC of each kind of fact with its interval, against chance."""
    figure = Figure(figsize=(7, 0.8 + 0.38 * len(shortcuts)))
    axes = figure.subplots()
    upwards = shortcuts[::-1]
    for row, shortcut in enumerate(upwards):
        area = shortcut.metric("mean AUROC")
        colour = "#777777" if shortcut.strength == "none" else "#b3261e"
        axes.plot([area.low, area.high], [row, row], color=colour, linewidth=2)
        axes.plot(area.value, row, "o", color=colour)
    axes.axvline(0.5, color="black", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(shortcuts)), [shortcut.facts for shortcut in upwards])
    axes.set_ylim(-0.6, len(shortcuts) - 0.4)
    axes.set_xlim(0.3, 1.0)
    axes.set_xlabel("mean AUROC with 95 % interval; the dotted line is chance")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure
