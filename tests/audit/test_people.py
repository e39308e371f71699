"""Rows against pictures, with a stand-in for the reader whose scores are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from support.audit import collection, film, row, save

from osteolens.audit.findings import Collection
from osteolens.audit.people import compare_age, compare_rows, compare_sex, expected_auroc
from osteolens.audit.run import check_rows, examine
from osteolens.card import PreprocessSpec, TrainingData
from osteolens.errors import CardError
from osteolens.films.joints import Joint
from osteolens.models.people import AGE, FEMALE, PeopleCard, Scale, Spread

QUIET = Console(quiet=True)


def spread(women: tuple[float, float] = (1, 1), men: tuple[float, float] = (0, 0), residual: float = 5.0) -> Spread:
    """Scores of each sex evenly between two ends; ages are estimated at half their difference from 60."""
    return Spread(
        women=tuple(np.linspace(*women, 101).tolist()),
        men=tuple(np.linspace(*men, 101).tolist()),
        age_slope=0.5,
        age_intercept=30,
        age_residual=residual,
    )


class KnownScores:
    """Gives the rows of a table of scores, one after the other."""

    def __init__(self, scores: NDArray[np.float64], held_out: Spread | None) -> None:
        self.scores = scores
        self.card = PeopleCard(
            name="known",
            architecture="none",
            preprocess=PreprocessSpec(height=32, width=32),
            weights_sha256="",
            data=TrainingData(name="made here", split="none", films={}, groups={}),
            age=Scale(mean=60, deviation=10),
            bmi=Scale(mean=28, deviation=5),
            held_out=held_out,
        )

    def read(
        self, pictures: NDArray[np.uint8], batch_size: int = 32
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        scores, self.scores = np.split(self.scores, [len(pictures)])
        return scores, np.empty((len(pictures), 0), np.float32)


def scores(female: Sequence[float], age: Sequence[float] | None = None) -> NDArray[np.float64]:
    outputs = np.zeros((len(female), 9))
    outputs[:, FEMALE] = female
    if age is not None:
        outputs[:, AGE] = age
    return outputs


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_share_of_shuffled_rows_follows_from_the_auroc():
    # 5 of 50 women's rows have a man's picture, and the other way round: AUROC 0.9 x 0.9 + 2 x 0.9 x 0.1 / 2 = 0.9,
    # which is what 20 % of rows with anyone's picture leave of 1.
    female = np.array([1.0] * 50 + [0.0] * 50)
    shown = female.copy()
    shown[[0, 1, 2, 3, 4, 95, 96, 97, 98, 99]] = 0, 0, 0, 0, 0, 1, 1, 1, 1, 1
    agreement = compare_sex(scores(shown), female, names(100), spread(), range(100))
    assert agreement.measured.value == pytest.approx(0.9)
    assert agreement.expected.value == 1
    assert agreement.wrong.value == pytest.approx(0.2)
    assert agreement.wrong.low < 0.2 < agreement.wrong.high < 0.4
    assert sorted(agreement.contradicted) == [0, 1, 2, 3, 4, 95, 96, 97, 98, 99]
    assert agreement.disagrees


def test_the_most_contradicted_row_comes_first_and_a_common_shift_does_not_matter():
    female = np.array([1.0] * 20 + [0.0] * 20)
    shown = np.where(female == 1, 2.0, -2.0)
    shown[[3, 30]] = -3, 9
    for shift in (0, -50):
        agreement = compare_sex(scores(shown + shift), female, names(40), spread(), range(100, 140))
        assert agreement.contradicted == (130, 103)


def test_expected_auroc_is_that_of_the_cohort_and_less_sure_for_fewer_persons():
    # Women evenly on 0 to 2, men on -1 to 1: a man is above a woman in 1/2 x 1/2 x 1/2 of pairs.
    cohort = spread(women=(0, 2), men=(-1, 1))
    few, more = expected_auroc(cohort, 20, 20), expected_auroc(cohort, 500, 500)
    assert few.value == more.value == pytest.approx(0.875, abs=1e-3)
    assert few.low < more.low < 0.875 < more.high < few.high
    # Hanley and McNeil's standard error for 500 of each is 0.0107.
    assert more.high - more.low == pytest.approx(2 * 1.96 * 0.0107, rel=0.2)


def test_age_is_compared_by_what_its_spread_lets_expect():
    age = np.tile([50.0, 70.0], 200)  # a deviation of 10, estimated at 5 with 5 of noise: r = 5 / sqrt(50)
    noise = np.random.default_rng(0).permutation(np.repeat([5.0, -5.0], 200))
    right = 30 + 0.5 * age + noise
    agreement = compare_age(scores(np.zeros(400), right), age, names(400), spread(), range(400))
    assert agreement.expected.value == pytest.approx(np.sqrt(0.5))
    assert agreement.measured.value == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert not agreement.disagrees
    assert agreement.contradicted == ()
    half = right.copy()
    half[:200] = np.random.default_rng(1).permutation(half[:200])
    agreement = compare_age(scores(np.zeros(400), half), age, names(400), spread(), range(400))
    assert agreement.wrong.value == pytest.approx(0.5, abs=0.1)
    assert agreement.disagrees
    odd = right.copy()
    odd[7] += 40
    agreement = compare_age(scores(np.zeros(400), odd), age, names(400), spread(), range(400))
    assert agreement.contradicted == (7,)


def test_a_fifth_of_shuffled_rows_is_seen_among_300_and_right_rows_are_not_reported():
    random, cohort = np.random.default_rng(0), spread(women=(0, 4), men=(-3.6, 0.4))  # AUROC 0.995
    reported = {0.0: 0, 0.2: 0}
    for share in reported:
        for _ in range(8):
            female = (random.random(300) < 0.6).astype(float)
            shown = np.where(female == 1, random.uniform(0, 4, 300), random.uniform(-3.6, 0.4, 300))
            chosen = random.choice(300, round(share * 300), replace=False)
            shown[chosen] = shown[random.permutation(chosen)]
            reported[share] += compare_sex(scores(shown), female, names(300), cohort, range(300)).disagrees
    assert reported == {0.0: 0, 0.2: 8}


def table(folder: Path, **changes: Any) -> Collection:
    """40 films of 40 patients, women first."""
    path = save(folder / "film.png", film(0))
    cells = [
        {"sex": "female" if n < 20 else "male", "age": str(50 + n % 20)} | {name: "" for name in changes.get("no", ())}
        for n in range(40)
    ]
    rows = [row(str(path), "well", f"p{n}", **cell) for n, cell in enumerate(cells)]
    return collection(rows)


def test_an_audit_reports_the_rows_by_place_and_file_alone(tmp_path):
    data = table(tmp_path)
    reader = KnownScores(scores([1.0] * 10 + [0.0] * 20 + [1.0] * 10, np.arange(40.0)), spread())
    check = compare_rows(data, reader, QUIET)
    sex, age = check.findings
    assert (sex.kind, sex.severity, sex.count) == ("sex-against-pictures", "warning", 20)
    assert sex.numbers == tuple(range(10, 20)) + tuple(range(30, 40))
    assert set(sex.lines) == {str(tmp_path / "film.png")}
    assert "AUROC sex 0.50" in sex.title
    assert "best estimate 100 %" in sex.title
    assert age.severity in ("warning", "note")
    result = examine(data, (), check)
    assert "sex-against-pictures" in {finding.kind for finding in result.findings}
    assert check.figures[0]["wrong"]["value"] == 1


class TwoLegs:
    """Finds a knee in either half of a film."""

    def find(self, pixels: NDArray[np.uint8]) -> tuple[Joint, ...]:
        height, width = pixels.shape
        return tuple(Joint(x * width, height / 2, width / 4, 0.0, 0.5, 1.0) for x in (0.25, 0.75))


def test_a_film_of_two_legs_has_the_mean_of_its_knees(tmp_path):
    # Of each film the first knee says nothing about the sex, and the second everything.
    each = scores([value for n in range(40) for value in (0.5, float(n < 20))])
    reader = KnownScores(each, spread())
    check = compare_rows(table(tmp_path, no=["age"]), reader, QUIET, TwoLegs())
    assert len(reader.scores) == 0  # two knees of each film were read
    assert check.figures[0]["measured"]["value"] == 1


def test_right_rows_are_a_note(tmp_path):
    reader = KnownScores(scores([1.0] * 20 + [0.0] * 20), spread())
    check = compare_rows(table(tmp_path, no=["age"]), reader, QUIET)
    (sex,) = check.findings
    assert (sex.kind, sex.severity, sex.lines) == ("sex-agrees-with-pictures", "note", ())
    (remark,) = check.remarks
    assert "0 readable rows have an age from 40 to 80, and 20 of different ages are needed" in remark


def test_too_few_rows_are_not_compared_and_no_picture_is_read(tmp_path):
    data = collection([row("gone.png", "well", "p", sex="female", age="50"), row("gone.png", "well", "q", sex="male")])
    check = compare_rows(data, KnownScores(scores([]), spread()), QUIET)
    assert check.findings == []
    assert "1 rows of women and 1 of men, and 20 of either are needed" in check.remarks[0]


def test_without_a_reader_or_facts_nothing_is_compared(tmp_path):
    assert check_rows(table(tmp_path), None, QUIET).findings == ()
    assert check_rows(collection([row("a.png", "well")]), tmp_path, QUIET).findings == ()
    with pytest.raises(CardError, match="no reader of persons"):
        check_rows(table(tmp_path), tmp_path, QUIET)
    with pytest.raises(CardError, match="train it to the end"):
        compare_rows(table(tmp_path), KnownScores(scores([]), None), QUIET)
