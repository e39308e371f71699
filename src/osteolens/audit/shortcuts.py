"""How well facts that are not the bone predict the label: what a model could learn instead.

Each predictor is a random forest on one kind of fact, fitted and scored by group-stratified cross-validation. A
group here is a patient or a film: pictures that share either are never on both sides.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from osteolens.audit.copies import connected
from osteolens.audit.findings import Collection
from osteolens.audit.pictures import Facts
from osteolens.card import Metric
from osteolens.datasets.folds import assign_folds
from osteolens.evaluation import measures
from osteolens.evaluation.metrics import draw

Column = list[float] | list[str]
Columns = Mapping[str, Column]
"""Facts by name, one value per picture: numbers (NaN where unknown) or words."""

FOLDS = 5
RESAMPLES = 1000
CLINICAL = ("age", "sex", "gender", "weight_kg", "height_m", "height_cm", "bmi")
"""Columns that are tested if a table has them, whatever their case; a plain `height` may be that of the picture."""
SOURCE = "source"
_TREES = 100
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
}


@dataclass(frozen=True)
class Shortcut:
    """What one kind of fact tells of the labels.

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
    groups = _groups(collection)
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
            results.append(_test(name, target, usable, truth, chosen))
        else:
            remarks.append(f"Not tested on {target}: {name}, which is the same (or unknown, or a name) everywhere.")
    return results, remarks


def _groups(collection: Collection) -> NDArray[np.int64]:
    """A number per picture, [N], that those of one patient or one film share."""
    count = len(collection.rows)
    names = {name: number for number, name in enumerate(sorted({row.group for row in collection.rows if row.group}))}
    known = [number for number in range(count) if collection.rows[number].group]
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
    different = {value for value in column if value == value and value != ""}
    if isinstance(column[0], str):
        return 1 < len({*column}) <= max(2, _MOST_WORDS * len(column))
    return len(different) > 1


def _test(name: str, target: str, columns: Columns, truth: Sequence[str], groups: Sequence[str]) -> Shortcut:
    labels = tuple(sorted(set(truth)))
    numbers = np.array([labels.index(label) for label in truth])
    probabilities = _out_of_fold(_numeric(columns), numbers, truth, groups)
    weights = draw(groups, RESAMPLES, seed=0)
    return Shortcut(
        name,
        target,
        len(truth),
        len(set(groups)),
        labels,
        float(np.bincount(numbers).max() / len(numbers)),
        tuple(_figures(labels, numbers, probabilities, weights)),
    )


def _out_of_fold(
    table: NDArray[np.float64], truth: NDArray[np.int64], names: Sequence[str], groups: Sequence[str]
) -> NDArray[np.float64]:
    """Probabilities [N, K], for each picture from a forest that saw no picture of its group."""
    fold = assign_folds(names, groups, FOLDS, seed=0)
    probabilities = np.zeros((len(truth), int(truth.max()) + 1))
    for number in range(FOLDS):
        held_out = fold == number
        forest = RandomForestClassifier(
            _TREES, min_samples_leaf=max(5, len(truth) // 100), class_weight="balanced", random_state=0
        )
        forest.fit(table[~held_out], truth[~held_out])
        probabilities[np.ix_(held_out, forest.classes_)] = forest.predict_proba(table[held_out])
    return probabilities


def _numeric(columns: Columns) -> NDArray[np.float64]:
    """[N, F]: numbers as they are (NaN where unknown, which forests take), and one column of 0 and 1 per word."""
    parts = [
        [[float(value == word) for value in column] for word in sorted({*column})]
        if isinstance(column[0], str)
        else [column]
        for column in columns.values()
    ]
    return np.array([values for part in parts for values in part], np.float64).T


def _figures(
    labels: Sequence[str], truth: NDArray[np.int64], probabilities: NDArray[np.float64], draws: NDArray[np.float64]
) -> list[Metric]:
    """All metrics with their 95 % percentile intervals over resampled groups."""
    classes = len(labels)
    cells = np.eye(classes**2)[truth * classes + probabilities.argmax(axis=1)]
    weights = np.vstack([np.ones(len(truth)), draws])
    confusion = (weights @ cells).reshape(-1, classes, classes)
    with np.errstate(divide="ignore", invalid="ignore"):
        areas = np.array([measures.auroc(probabilities[:, k], truth == k, weights) for k in range(classes)])
        values = {
            "accuracy": measures.accuracy(confusion),
            "balanced accuracy": measures.balanced_accuracy(confusion),
            "mean AUROC": areas.mean(axis=0),
        }
    if classes > 2:
        values |= {f"AUROC {label} vs rest": area for label, area in zip(labels, areas, strict=True)}
    return [_metric(name, resampled) for name, resampled in values.items()]


def _metric(name: str, values: NDArray[np.float64]) -> Metric:
    """The first value, with an interval from the others; one of which no class was drawn does not count."""
    low, high = np.nanpercentile(values[1:], (2.5, 97.5)).tolist()
    value = float(values[0])
    return Metric(name=name, value=value, low=min(low, value), high=max(high, value))
