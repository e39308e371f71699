"""How well facts that are not the bone predict the label: what a model could learn instead.

Each predictor is a random forest on one kind of fact, fitted and scored by group-stratified cross-validation. A
group here is a patient or a film: pictures that share either are never on both sides.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osteolens.audit.copies import connected
from osteolens.audit.findings import Collection, Finding, Severity
from osteolens.audit.forest import FOLDS, Column, Columns, score_forest
from osteolens.audit.pictures import Facts
from osteolens.card import Metric
from osteolens.films.acquisition import NAMES

CLINICAL = ("age", "sex", "gender", "weight_kg", "height_m", "height_cm", "bmi")
"""Columns that are tested if a table has them, whatever their case; a plain `height` may be that of the picture."""
SOURCE, ACQUISITION = "source", "acquisition"
_MOST_WORDS = 0.5
"""A column of words in which more than this share of the rows differ is a name, not a fact."""

FILE_FACTS: dict[str, dict[str, Callable[[Facts], float | str]]] = {
    "file format": {
        "format": lambda facts: f"{facts.format} {facts.colour} {facts.device}",
        "quality": lambda facts: float(facts.quality),
        "bytes per pixel": lambda facts: facts.size / (facts.width * facts.height),
    },
    "picture size": {
        "width": lambda facts: float(facts.width),
        "height": lambda facts: float(facts.height),
        "width / height": lambda facts: facts.width / facts.height,
    },
    "brightness": {
        "brightness": lambda facts: facts.brightness,
        "contrast": lambda facts: facts.contrast,
        "dark": lambda facts: facts.dark,
        "bright": lambda facts: facts.bright,
    },
    "borders": {
        name: (lambda facts, edge=edge: facts.borders[edge])  # type: ignore[misc]
        for edge, name in enumerate(("top", "bottom", "left", "right"))
    },
    ACQUISITION: {
        name: (lambda facts, name=name: facts.acquisition[name])  # type: ignore[misc]
        for name in NAMES
    },
}
FILE_KINDS = (*FILE_FACTS, "all of these")


@dataclass(frozen=True)
class Shortcut:
    """Test of one kind of fact: how well it predicts the labels.

    Attributes:
        facts: Its name.
        target: What is predicted: `label` or `source`.
        pictures: How many took part.
        groups: How many groups they are of.
        labels: The classes.
        largest: Share of the largest class: the accuracy of always naming it.
        metrics: Accuracy, balanced accuracy, AUROC of each label against the rest, and their mean.
    """

    facts: str
    target: str
    pictures: int
    groups: int
    labels: tuple[str, ...]
    largest: float
    metrics: tuple[Metric, ...]

    def metric(self, name: str) -> Metric:
        """One of the metrics."""
        return next(metric for metric in self.metrics if metric.name == name)

    @property
    def strength(self) -> str:
        """`strong`, `clear`, `weak` or `none`, by the mean AUROC; `none` if its interval reaches 0.5."""
        area = self.metric("mean AUROC")
        if area.low <= 0.5 or area.value < 0.6:
            return "none"
        return "strong" if area.value >= 0.8 else "clear" if area.value >= 0.7 else "weak"


def find_shortcuts(collection: Collection, columns: Sequence[str], target: str) -> tuple[list[Shortcut], list[str]]:
    """Test every kind of fact.

    Args:
        collection: The audited data set is tested, the other one is not.
        columns: Further columns of the table to test.
        target: `label` or `source`: what to predict.

    Returns:
        The results, and in plain sentences what could not be tested and why.
    """
    targets = {
        number: collection.rows[number].label if target == "label" else collection.rows[number].values.get(target, "")
        for number in collection.own
        if number in collection.seen
    }
    groups = joined_groups(collection)
    rare = {label for label, count in _groups_by_label(targets, groups).items() if count < FOLDS}
    numbers = [number for number, label in targets.items() if label and label not in rare]
    remarks = [f"Left out, as fewer than {FOLDS} groups have it: {target} {label}." for label in sorted(rare)]
    if len({targets[number] for number in numbers}) < 2:
        return [], [*remarks, f"Fewer than two values of {target} have {FOLDS} groups: nothing to predict."]
    truth = [targets[number] for number in numbers]
    chosen = [str(groups[number]) for number in numbers]
    results = []
    for name, facts in _all_facts(collection, numbers, columns, target).items():
        usable = {key: column for key, column in facts.items() if _is_fact(column)}
        if usable:
            largest = Counter(truth).most_common(1)[0][1] / len(truth)
            metrics = score_forest(usable, truth, chosen)
            labels = tuple(sorted(set(truth)))
            results.append(Shortcut(name, target, len(truth), len(set(chosen)), labels, largest, metrics))
        else:
            remarks.append(f"Not tested on {target}: {name}, which is the same (or unknown, or a name) everywhere.")
    return results, remarks


def joined_groups(collection: Collection) -> NDArray[np.int64]:
    """A number per picture, [N], that those of one patient or one film share."""
    count = len(collection.rows)
    names = {name: number for number, name in enumerate(sorted({row.group for row in collection.rows if row.group}))}
    known = [number for number in range(count) if collection.rows[number].group]
    # Three kinds of nodes, pictures, films and patients: whatever a chain of them joins is one group.
    pairs = [(number, count + origin) for number, origin in enumerate(collection.origin.tolist())]
    pairs += [(number, 2 * count + names[collection.rows[number].group]) for number in known]
    return connected(3 * count, np.array(pairs))[:count]


def _groups_by_label(targets: Mapping[int, str], groups: NDArray[np.int64]) -> Counter[str]:
    return Counter(label for label, _ in {(label, int(groups[number])) for number, label in targets.items()} if label)


def _all_facts(
    collection: Collection, numbers: Sequence[int], columns: Sequence[str], target: str
) -> dict[str, Columns]:
    """Kinds of facts with their columns, each [len(numbers)]."""
    facts = [collection.seen[number].facts for number in numbers]
    kinds: dict[str, Columns] = {
        name: {key: [read(picture) for picture in facts] for key, read in readers.items()}  # type: ignore[misc]
        for name, readers in FILE_FACTS.items()
    }
    kinds["all of these"] = {f"{name} {key}": column for name, kind in kinds.items() for key, column in kind.items()}
    clinical = [name for name in collection.data.columns if name.lower() in CLINICAL]
    extra = [name for name in columns if name not in clinical]
    cells = {
        name: as_column([collection.rows[number].values.get(name, "") for number in numbers])
        for name in [*clinical, *extra, SOURCE]
        if name in collection.data.columns and name != target
    }
    kinds |= {name: {name: column} for name, column in cells.items()}
    if len(clinical) > 1:
        kinds[", ".join(clinical)] = {name: cells[name] for name in clinical}
    return kinds


def as_column(cells: Sequence[str]) -> Column:
    """Numbers, if all cells that are not empty are numbers; else words in lower case."""
    try:
        numbers = [float(cell) if cell else math.nan for cell in cells]
        return [number if math.isfinite(number) else math.nan for number in numbers]
    except ValueError:
        return [cell.lower() for cell in cells]


def _is_fact(column: Column) -> bool:
    """Whether values differ, and are not names of single pictures."""
    different = {value for value in column if value == value and value != ""}  # NaN is unequal to itself
    if isinstance(column[0], str):
        return 1 < len({*column}) <= max(2, _MOST_WORDS * len(column))
    return len(different) > 1


def shortcut_findings(shortcuts: Sequence[Shortcut]) -> Iterator[Finding]:
    """One finding each for acquisition, files, the patient's facts, the source, and differences of the sources."""
    on_label = [shortcut for shortcut in shortcuts if shortcut.target == "label"]
    yield from _finding(
        "acquisition-shortcut",
        [shortcut for shortcut in on_label if shortcut.facts == ACQUISITION],
        "How the films were taken (borders, brightness, sharpness, size, legs, markers; no bone) tells the label: a "
        "model that does as well is not shown to see bone.",
        "Look at `image beyond acquisition` in the figures of a run: it is what counts; compare films of one device.",
        weak="warning",
    )
    yield from _finding(
        "file-shortcut",
        [shortcut for shortcut in on_label if shortcut.facts in FILE_KINDS and shortcut.facts != ACQUISITION],
        "A model can score by recognising the device or the export of a file instead of the bone.",
        "Give this figure beside every score of a model; bring all pictures to one format, size and border before "
        "training; test within one device family.",
    )
    yield from _finding(
        "column-shortcut",
        [shortcut for shortcut in on_label if shortcut.facts not in (*FILE_KINDS, SOURCE)],
        "A model can score by reading such a fact off the picture (age shows in every joint) instead of the disease.",
        "Give this figure as a baseline beside every score of a model, and show that the model beats it.",
    )
    yield from _finding(
        "source-shortcut",
        [shortcut for shortcut in on_label if shortcut.facts == SOURCE],
        "The sources hold different shares of the labels: a model that tells the sources apart scores without skill.",
        "Give every figure per source, and test on a source that was left out of training.",
    )
    yield from _finding(
        "sources-differ",
        [shortcut for shortcut in shortcuts if shortcut.target == SOURCE],
        "The sources can be told apart without looking at the knee.",
        "Compare labels, age, sex, brightness and size of the sources in the table below before mixing them.",
    )


def _finding(
    kind: str, shortcuts: Sequence[Shortcut], meaning: str, advice: str, weak: Severity = "note"
) -> Iterator[Finding]:
    tests = sorted(
        (shortcut for shortcut in shortcuts if shortcut.strength != "none"),
        key=lambda shortcut: -shortcut.metric("mean AUROC").value,
    )
    if tests:
        severity: Severity = weak if tests[0].strength == "weak" else "warning"
        lines = tuple(describe(shortcut) for shortcut in tests)
        yield Finding(kind, severity, f"{lines[0]}.", meaning, advice, len(tests), lines=lines[1:])


def describe(shortcut: Shortcut) -> str:
    """A result that shows something, in one sentence without its full stop."""
    area, right = shortcut.metric("mean AUROC"), shortcut.metric("balanced accuracy")
    name = "all facts of the file together" if shortcut.facts == "all of these" else shortcut.facts
    alone = "" if shortcut.facts == "all of these" else " together" if ", " in name else " alone"
    return (
        f"{shortcut.strength.capitalize()} tie of the {shortcut.target} to {name}{alone}: mean AUROC "
        f"{area.value:.2f} ({area.low:.2f} to {area.high:.2f}), balanced accuracy {100 * right.value:.0f} % "
        f"where chance is {100 / len(shortcut.labels):.0f} %"
    )
