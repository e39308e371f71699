"""Faults of a table's cells: values that cannot be read, T-scores against labels, labels that look like slips."""

import difflib
from collections import Counter
from collections.abc import Iterator

from osteolens.audit.findings import Collection, Finding, many
from osteolens.datasets.columns import T_SCORE
from osteolens.datasets.values import differ_in_case
from osteolens.labels import LABELS, SEVERITY, label_from_t_score

_SIMILAR, _RARE = 0.8, 0.2
"""A label counts as a slip of another one from this similarity (`difflib`), if it is at most this share as frequent."""


def cell_findings(collection: Collection) -> Iterator[Finding]:
    """Findings about the audited table alone; pictures need not be readable."""
    yield from _unreadable(collection)
    yield from _against_t_score(collection)
    yield from _slips(collection)


def _unreadable(collection: Collection) -> Iterator[Finding]:
    problems, look_alikes = collection.data.problems, collection.data.look_alikes
    if problems:
        yield Finding(
            "unreadable-values",
            "fault",
            f"{many(len(problems), 'value')} of {collection.data.name} cannot be read.",
            "Training stops at them.",
            "Correct them in the table: decimals with a point (or columns separated by semicolons), female or male.",
            len(problems),
            lines=problems,
        )
    if look_alikes:
        yield Finding(
            "column-look-alike",
            "warning",
            f"{many(len(look_alikes), 'column')} of {collection.data.name} "
            f"{'looks' if len(look_alikes) == 1 else 'look'} like a known one under another name.",
            "Training refuses such a table, or would go without facts that it seems to hold.",
            "Rename the column if it is that one, else to a name that tells them apart.",
            len(look_alikes),
            lines=look_alikes,
        )


def _against_t_score(collection: Collection) -> Iterator[Finding]:
    numbers, lines = [], []
    for number in collection.own:
        row = collection.rows[number]
        measured = row.values.get(T_SCORE, "")
        # Severe osteoporosis is osteoporosis with a fracture.
        if row.label in SEVERITY and measured and (label := label_from_t_score(float(measured))) not in row.label:
            numbers.append(number)
            lines.append(f"{row.place}, {row.file}: labelled {row.label}, but a T-score of {measured} is {label}")
    if numbers:
        yield Finding(
            "t-score-against-label",
            "fault",
            f"The label contradicts the T-score of {many(len(numbers), 'picture')} of {collection.data.name}.",
            "By the definition of the WHO a T-score above -2.5 is not osteoporosis, and one of -1 and above is normal: "
            "one of the two is wrong, or they are of different sites or dates.",
            "Go back to the source. Until then a model learns two answers for such films.",
            len(numbers),
            numbers=tuple(numbers),
            lines=tuple(lines),
        )


def _slips(collection: Collection) -> Iterator[Finding]:
    counts = Counter(label for number in collection.own for label in collection.rows[number].labels)
    meant = {label: other for label in counts if (other := _meant(label, counts))}
    if meant:
        numbers = [number for number in collection.own if meant.keys() & {*collection.rows[number].labels}]
        yield Finding(
            "label-typo",
            "fault",
            f"{many(len(meant), 'label')} of {collection.data.name} "
            f"{'looks like a slip' if len(meant) == 1 else 'look like slips'} of another one.",
            "A slip makes a class of its own, with few pictures, and takes them away from the right one.",
            "Write each label in one way.",
            len(meant),
            numbers=tuple(numbers),
            lines=tuple(
                f"{label!r} ({many(counts[label], 'picture')}): is {other!r} meant?" for label, other in meant.items()
            ),
        )


def _meant(label: str, counts: Counter[str]) -> str:
    """The label that this one is most likely a slip of; empty if it is likely right."""
    # A table with one of the labels of osteoporosis should have these only: whatever is close to one is a slip of it.
    if any(name in LABELS for name in counts):
        close = [] if label in SEVERITY else difflib.get_close_matches(label.casefold(), SEVERITY, 1, _SIMILAR)
        return next(iter(close), "")
    other_cases = next((names for names in differ_in_case(counts) if label in names), [])
    similar = [name for name in counts if name in other_cases or _is_close(label, name)]
    most_frequent = max(similar, key=lambda name: counts[name], default=label)
    # Labels that differ in case alone are never two classes, however frequent each is.
    is_slip = most_frequent != label and (other_cases or counts[label] <= _RARE * counts[most_frequent])
    return most_frequent if is_slip else ""


def _is_close(label: str, other: str) -> bool:
    """Whether two labels are nearly the same text with the same digits."""
    # Grades such as KL1 and KL2 are similar texts as well, and different classes.
    digits, others = (["".join(filter(str.isdigit, text))] for text in (label, other))
    return digits == others and difflib.SequenceMatcher(None, label.casefold(), other.casefold()).ratio() >= _SIMILAR
