"""Rows given other persons' pictures on purpose: does the audit find them, and does it leave right rows alone?

    python benchmarks/shuffled_rows.py --data knees.csv --people runs/knee_people/model

Persons that the reader never saw (split `val`) are halved at random. One half says what to expect of right rows, as the
card does; rows drawn from the other half are compared with it, as they are and with a share of their pictures shuffled
among themselves. So no row is compared with itself. Figures are over the draws.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from osteolens.audit.people import Agreement, compare_age, compare_sex
from osteolens.console import one_line_errors
from osteolens.models.people import AGE, FEMALE, load_reader
from osteolens.training.config import Configuration, DatasetSection
from osteolens.training.people import People, read_people
from osteolens.training.people_run import spread

Floats = NDArray[np.float64]


def part_of(people: People, chosen: NDArray[np.int64]) -> People:
    """Some of the knees, without their pictures, which have been read."""
    persons = [people.persons[index] for index in chosen]
    return People(persons, persons, people.held_out[chosen], people.facts[chosen], people.pictures[:0])


def trial(
    people: People, outputs: Floats, rows: int, share: float, random: np.random.Generator
) -> tuple[Agreement, Agreement]:
    """Compare rows of half of the persons, a share of them with shuffled pictures, with the other half: sex, age."""
    names = random.permutation(np.unique(people.persons))
    reference = np.isin(people.persons, names[: len(names) // 2])
    others = np.flatnonzero(~reference)
    chosen = random.permutation(others)[:rows]
    shown = chosen.copy()
    wrong = random.choice(len(shown), round(share * len(shown)), replace=False)
    shown[wrong] = shown[random.permutation(wrong)]
    known = np.flatnonzero(reference)
    expected = spread(outputs[known], part_of(people, known))
    facts, groups = people.facts[chosen].astype(np.float64), [people.persons[index] for index in chosen]
    numbers = range(len(chosen))
    return (
        compare_sex(outputs[shown], facts[:, FEMALE], groups, expected, numbers),
        compare_age(outputs[shown], facts[:, AGE], groups, expected, numbers),
    )


def summary(agreements: list[Agreement]) -> dict[str, float]:
    """How often the column is reported, and the means of the figures."""
    means = {
        "agreement": [agreement.measured.value for agreement in agreements],
        "expected": [agreement.expected.value for agreement in agreements],
        "share of wrong rows": [agreement.wrong.value for agreement in agreements],
        "its upper bound": [agreement.wrong.high for agreement in agreements],
    }
    reported = float(np.mean([agreement.disagrees for agreement in agreements]))
    return {"reported": reported} | {name: round(float(np.mean(values)), 3) for name, values in means.items()}


@one_line_errors
def main(
    data: Annotated[Path, typer.Option(help="The reader's cohort, as train/knee_people.py takes it.")],
    people: Annotated[Path, typer.Option(help="Folder of the reader.")],
    rows: Annotated[int, typer.Option(min=40)] = 300,
    shuffled: Annotated[float, typer.Option(min=0, max=1, help="Share of the rows.")] = 0.2,
    draws: Annotated[int, typer.Option(min=1)] = 100,
) -> None:
    """Plant wrong rows, and count how often the audit reports them, and right ones."""
    console, reader = Console(stderr=True), load_reader(people)
    config = Configuration(dataset=DatasetSection(name="cohort"), preprocess=reader.card.preprocess)
    cohort = read_people(data, config, console).among(held_out=True)
    outputs, _ = reader.read(cohort.pictures)
    report: dict[str, object] = {"rows": min(rows, len(cohort.files) // 2), "draws": draws}
    for share in (0.0, shuffled):
        random = np.random.default_rng(0)
        pairs = [
            trial(cohort, outputs, rows, share, random)
            for _ in track(range(draws), f"{share:.0%} shuffled", console=console)
        ]
        report[f"{share:.0%} shuffled"] = {
            fact: summary([pair[index] for pair in pairs]) for index, fact in enumerate(("sex", "age"))
        }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    typer.run(main)
