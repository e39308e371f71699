"""Whether pictures belong to the rows that name them: sex and age read off each knee, against those of the table.

Of rows whose pictures were shuffled, sex and age of the picture are those of anyone. With a share w of such rows the
AUROC of sex falls from A to 0.5 + (1 - w)(A - 0.5), whatever the mix of sexes, and the correlation of age from r to
(1 - w) r: the terms of right and wrong rows add up. A reader also reads pictures of other devices worse than those of
its own cohort, so w is an upper bound.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from osteolens.audit.findings import Collection, Finding, many
from osteolens.audit.result import RowCheck
from osteolens.audit.shortcuts import joined_groups
from osteolens.card import Metric
from osteolens.datasets.columns import SEX
from osteolens.errors import CardError
from osteolens.evaluation import measures
from osteolens.evaluation.metrics import draw, sample
from osteolens.films.joints import Finder
from osteolens.films.read import read
from osteolens.models.people import AGE, FEMALE, QUANTILES, PeopleCard, Spread, prepare_knees

Floats = NDArray[np.float64]
AGE_COLUMN = "age"
LEAST = 20
"""Rows of either sex, or rows with an age, below which nothing is tested."""
LEAST_SHARE = 0.03
"""Lower limit of the share of wrong rows from which a column is reported: the cohort's own figures are not exact."""
RESAMPLES, _TRIALS, _MOST = 1000, 400, 5000
_BATCH = 64
_RANGE = 2.0
"""Ages further than this many deviations from the mean of the reader's cohort are left out: it has not seen such."""
_FAR = 2.5
"""Deviations from which an age disagrees with its picture."""


class Reads(Protocol):
    """A reader of persons, such as `osteolens.models.people.PeopleReader`."""

    @property
    def card(self) -> PeopleCard:
        """Preprocessing, and what to expect of right rows."""
        ...

    def read(self, pictures: NDArray[np.uint8], batch_size: int = 32) -> tuple[Floats, NDArray[np.float32]]:
        """Outputs [N, 9] and features of prepared knees."""
        ...


@dataclass(frozen=True)
class Agreement:
    """How well the pictures agree with one column of the table.

    Attributes:
        fact: The column.
        rows: Rows that were compared.
        groups: Patients or films among them.
        measured: AUROC of sex, or correlation of age, with its interval over groups.
        expected: What the reader reaches on as many persons of its own cohort, with the range of chance.
        wrong: Share of rows with another person's picture; its upper end is the bound.
        contradicted: Numbers of the rows that disagree most, the most first.
    """

    fact: Literal["sex", "age"]
    rows: int
    groups: int
    measured: Metric
    expected: Metric
    wrong: Metric
    contradicted: tuple[int, ...]

    @property
    def disagrees(self) -> bool:
        """Whether the pictures agree less than chance explains: the two intervals lie apart, by more than a trifle."""
        return self.measured.high < self.expected.low and self.wrong.low >= LEAST_SHARE

    def figures(self) -> dict[str, object]:
        """All of it, ready for JSON."""
        metrics = {name: getattr(self, name).model_dump() for name in ("measured", "expected", "wrong")}
        return asdict(self) | metrics | {"disagrees": self.disagrees}


def compare_rows(collection: Collection, reader: Reads, console: Console, finder: Finder | None = None) -> RowCheck:
    """Compare the table's sex and age with those that its pictures show.

    Args:
        collection: The audited pictures.
        reader: Reads sex and age off a knee.
        console: Where progress goes.
        finder: Finds the knees on whole films; the scores of a film are the mean over its knees.

    Raises:
        CardError: The reader does not say what to expect.
        InputError: A picture cannot be read any more.
    """
    spread = reader.card.held_out
    if spread is None:
        raise CardError(f"{reader.card.name} has not been scored on held-out persons: train it to the end first")
    facts, remarks = known_facts(collection, reader.card)
    numbers = sorted({number for known in facts.values() for number in known})
    outputs = dict(zip(numbers, _read(collection, numbers, reader, finder, console), strict=True))
    groups, compare = joined_groups(collection), {"sex": compare_sex, "age": compare_age}
    agreements = [
        compare[fact](
            np.array([outputs[number] for number in known]),
            np.array([*known.values()]),
            [str(groups[number]) for number in known],
            spread,
            [*known],
        )
        for fact, known in facts.items()
    ]
    findings = [finding_of(collection, agreement) for agreement in agreements]
    return RowCheck(findings, [agreement.figures() for agreement in agreements], remarks)


def known_facts(collection: Collection, card: PeopleCard) -> tuple[dict[str, dict[int, float]], list[str]]:
    """Sex (1 for women) and age by row number, of readable pictures, and why one of the two is not compared."""
    cells = {number: collection.rows[number].values for number in collection.own if number in collection.seen}
    sex = {number: float(cell[SEX] == "female") for number, cell in cells.items() if cell.get(SEX)}
    age = {number: float(cell[AGE_COLUMN]) for number, cell in cells.items() if cell.get(AGE_COLUMN)}
    low, high = (card.age.mean + side * _RANGE * card.age.deviation for side in (-1, 1))
    age = {number: years for number, years in age.items() if low <= years <= high}
    facts, remarks = {}, []
    women = int(sum(sex.values()))
    if min(women, len(sex) - women) >= LEAST:
        facts["sex"] = sex
    else:
        remarks.append(
            f"Sex was not compared with the pictures: readable are {women} rows of women and {len(sex) - women} of "
            f"men, and {LEAST} of either are needed."
        )
    if len(age) >= LEAST and len({*age.values()}) > 1:
        facts["age"] = age
    else:
        remarks.append(
            f"Age was not compared with the pictures: {len(age)} readable rows have an age from {low:.0f} to "
            f"{high:.0f}, and {LEAST} of different ages are needed."
        )
    return facts, remarks


def _read(
    collection: Collection, numbers: Sequence[int], reader: Reads, finder: Finder | None, console: Console
) -> Iterator[Floats]:
    """Outputs [9] of each picture; a batch at a time is in memory."""
    starts = range(0, len(numbers), _BATCH)
    for start in track(starts, "reading sex and age off the pictures", console=console, transient=True):
        paths = [collection.rows[number].path for number in numbers[start : start + _BATCH]]
        films = [prepare_knees(read(path).pixels, reader.card.preprocess, finder) for path in paths]
        outputs = reader.read(np.stack([knee for knees in films for knee in knees]))[0]
        ends = np.cumsum([len(knees) for knees in films])
        yield from (part.mean(axis=0) for part in np.split(outputs, ends[:-1]))


def compare_sex(
    outputs: Floats, female: Floats, groups: Sequence[str], spread: Spread, numbers: Sequence[int]
) -> Agreement:
    """Compare the sex.

    Args:
        outputs: [N, 9].
        female: [N], 1 or 0, from the table.
        groups: N.
        spread: What to expect.
        numbers: N, what `Agreement.contradicted` names rows by.
    """
    score, women = outputs[:, FEMALE], female == 1
    measured = _interval("AUROC sex", groups, lambda weights: measures.auroc(score, women, weights))
    sizes = [min(len({g for g, w in zip(groups, women, strict=True) if w == side}), _MOST) for side in (True, False)]
    expected = expected_auroc(spread, *sizes)
    # Between the sexes of this table: another device shifts all scores.
    centre = (np.median(score[women]) + np.median(score[~women])) / 2
    against = np.where(women, centre - score, score - centre)
    contradicted = tuple(numbers[index] for index in np.argsort(-against, kind="stable") if against[index] > 0)
    wrong = _wrong(measured, expected.value, chance=0.5)
    return Agreement("sex", len(female), len(set(groups)), measured, expected, wrong, contradicted)


def compare_age(
    outputs: Floats, age: Floats, groups: Sequence[str], spread: Spread, numbers: Sequence[int]
) -> Agreement:
    """Compare the age, [N] in years; arguments as for `compare_sex`."""
    score = outputs[:, AGE]
    measured = _interval("Pearson r of age", groups, lambda weights: measures.pearson(score, age, weights))
    # The slope holds for any mix of ages, the correlation does not.
    signal, persons = spread.age_slope * float(np.std(age)), len(set(groups))
    value = signal / np.hypot(signal, spread.age_residual)
    low, high = np.tanh(np.arctanh(value) + np.array([-1.96, 1.96]) / np.sqrt(max(persons - 3, 1))).tolist()
    expected = Metric(name="expected", value=float(value), low=low, high=high)
    rest = score - spread.age_slope * age
    distance = np.abs(rest - np.median(rest)) / spread.age_residual
    contradicted = tuple(numbers[index] for index in np.argsort(-distance, kind="stable") if distance[index] > _FAR)
    wrong = _wrong(measured, expected.value, chance=0.0)
    return Agreement("age", len(age), persons, measured, expected, wrong, contradicted)


def expected_auroc(spread: Spread, women: int, men: int) -> Metric:
    """AUROC of sex on right rows of so many women and men of the reader's cohort, with the range of 95 % of draws."""
    random, steps = np.random.default_rng(0), np.linspace(0, 1, QUANTILES)

    def area(uniform_women: Floats, uniform_men: Floats) -> float:
        drawn = (np.interp(uniform_women, steps, spread.women), np.interp(uniform_men, steps, spread.men))
        scores = np.concatenate(drawn)
        positive = np.arange(len(scores)) < len(uniform_women)
        return float(measures.auroc(scores, positive, np.ones((1, len(scores))))[0])

    even = (np.arange(_MOST) + 0.5) / _MOST
    value = area(even, even)
    low, high = np.percentile([area(random.random(women), random.random(men)) for _ in range(_TRIALS)], (2.5, 97.5))
    return Metric(name="expected", value=value, low=min(float(low), value), high=max(float(high), value))


def _interval(name: str, groups: Sequence[str], measure: Callable[[Floats], Floats]) -> Metric:
    return sample(lambda weights: {name: measure(weights)}, draw(groups, RESAMPLES, seed=0)).metrics()[0]


def _wrong(measured: Metric, expected: float, chance: float) -> Metric:
    """Share of rows with another person's picture, see the module."""
    low, value, high = (
        min(max(1 - (figure - chance) / (expected - chance), 0.0), 1.0)
        for figure in (measured.high, measured.value, measured.low)
    )
    return Metric(name="share of rows with another person's picture", value=value, low=low, high=high)


def finding_of(collection: Collection, agreement: Agreement) -> Finding:
    """A warning if the column disagrees with the pictures, else a note."""
    measured, expected, wrong = agreement.measured, agreement.expected, agreement.wrong
    figures = (
        f"{measured.name} {measured.value:.2f} ({measured.low:.2f} to {measured.high:.2f}) on "
        f"{many(agreement.rows, 'row')}, where right rows of the reader's own cohort give {expected.value:.2f} "
        f"({expected.low:.2f} to {expected.high:.2f})"
    )
    if not agreement.disagrees:
        return Finding(
            f"{agreement.fact}-agrees-with-pictures",
            "note",
            f"The pictures agree with the column {agreement.fact}: {figures}.",
            f"At most {100 * wrong.high:.0f} % of the rows can have another person's picture.",
            "Nothing.",
            agreement.rows,
        )
    rows = [collection.rows[number] for number in agreement.contradicted]
    return Finding(
        f"{agreement.fact}-against-pictures",
        "warning",
        f"The pictures disagree with the column {agreement.fact}: {figures}; up to {100 * wrong.high:.0f} % of the "
        f"rows (best estimate {100 * wrong.value:.0f} %) have another person's picture.",
        "Rows and pictures may have been mixed up, or the pictures are of another kind (device, crop, age) than the "
        "reader's cohort, which it then reads worse: the share is an upper bound.",
        "Look up the rows below where the pictures come from, the most contradicted first, and check how the table was "
        "joined to the files.",
        len(rows),
        numbers=agreement.contradicted,
        lines=tuple(f"{row.place}, {row.file}" if row.place != row.file else row.file for row in rows),
    )
