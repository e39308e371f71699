"""The plan of a study: patients for an interval and for a gain, from a run's predictions or from assumed figures."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from osteolens.errors import DataError
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.metrics import questions
from osteolens.evaluation.predictors import IMAGE, own_films
from osteolens.evaluation.run_folder import read_run
from osteolens.evaluation.sample_size import (
    Gain,
    Needed,
    Scores,
    films_needed,
    patients_for_gain,
    patients_for_interval,
)
from osteolens.reports.figures import AGE_AND_SEX, find, with_interval

_QUESTION, _ASSUMED = "osteoporosis vs rest", Scores(baseline=0.88, image=0.7, correlation=0.0, share=0.2)
IMAGES = (0.6, 0.65, 0.7, 0.75, 0.8)
"""AUROCs of an image for which a gain is planned, beside the assumed one."""


@dataclass(frozen=True)
class StudyPlan:
    """Sizes of a study.

    Attributes:
        question: What the AUROCs are of.
        half_width: Of the wanted 95 % interval.
        power: Share of studies that should show the gain.
        assumed: The scores that the gains start from.
        intervals: Patients for an interval of the assumed AUROCs, by name.
        measured: Films for an interval of the run's figures; empty without a run.
        gains: Patients for a gain over age and sex, by the image's AUROC.
    """

    question: str
    half_width: float
    power: float
    assumed: Scores
    intervals: dict[str, int]
    measured: Sequence[Needed]
    gains: Sequence[Gain]

    def dump(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        gains = [
            asdict(each.scores) | {"together": each.scores.together, "gain": each.scores.gain,
                                   "patients": each.patients, "power": each.power}
            for each in self.gains
        ]  # fmt: skip
        measured = [
            {
                "predictor": each.predictor,
                "metric": each.metric.model_dump(),
                "films": each.films,
                "groups": each.groups,
            }
            for each in self.measured
        ]
        names = ("question", "half_width", "power", "intervals")
        rest = {name: getattr(self, name) for name in names} | {"assumed": asdict(self.assumed)}
        return rest | {"measured": measured, "gains": gains}


def plan_study(
    run: Path | None,
    *,
    baseline: float | None,
    image: float | None,
    correlation: float | None,
    share: float | None,
    half_width: float,
    power: float,
) -> StudyPlan:
    """Work out sizes; what is None comes from the run's predictions, or without one from `_ASSUMED`.

    Raises:
        DataError: The run is missing, or its films have no age and sex, or a figure makes no sense.
    """
    question, known, measured = _of_run(run, half_width) if run else (_QUESTION, _ASSUMED, ())
    given = {"baseline": baseline, "image": image, "correlation": correlation, "share": share}
    assumed = Scores(**(asdict(known) | {name: value for name, value in given.items() if value is not None}))
    images = sorted({*IMAGES, round(assumed.image, 3)})
    gains = [
        patients_for_gain(Scores(assumed.baseline, area, assumed.correlation, assumed.share), power) for area in images
    ]
    areas = {"image": assumed.image, "age and sex": assumed.baseline, "image + age and sex": assumed.together}
    intervals = {name: patients_for_interval(area, assumed.share, half_width) for name, area in areas.items()}
    return StudyPlan(question, half_width, power, assumed, intervals, measured, gains)


def _of_run(folder: Path, half_width: float) -> tuple[str, Scores, tuple[Needed, ...]]:
    """The most severe label's question, what the run says of the two scores, and films for its own intervals."""
    run = read_run(folder)
    evidence = evaluate(run.predictions, ensemble=run.ensemble)
    table, named = evidence.predictions, {each.name: each for each in evidence.predictors}
    question = questions(table.labels)[-1]
    areas = [find(evidence.evaluations, name, f"AUROC {question.name}") for name in (AGE_AND_SEX, IMAGE)]
    if AGE_AND_SEX not in named or areas[0] is None or areas[1] is None:
        raise DataError(f"{folder} has no age and sex to gain over: state --baseline, and leave the run out")
    own = own_films(table, AGE_AND_SEX)
    ill = question.truth(table.truth)[own]
    # Within the ill and within the well: what both owe to the disease itself is no overlap.
    scores = [question.score(named[name].probabilities.mean(axis=0))[own] for name in (AGE_AND_SEX, IMAGE)]
    for score in scores:
        for part in (ill, ~ill):
            score[part] -= score[part].mean()
    varied = min(float(score.std()) for score in scores) > 0
    correlation = float(np.corrcoef(scores[0], scores[1])[0, 1]) if varied else 0.0
    assumed = Scores(areas[0].value, areas[1].value, round(correlation, 2), round(float(ill.mean()), 3))
    return question.name, assumed, films_needed(evidence.evaluations, half_width)


def show(plan: StudyPlan, console: Console) -> None:
    """Print the plan as tables."""
    assumed = plan.assumed
    console.print(
        f"Assumed for {plan.question}: AUROC of age and sex {assumed.baseline:.2f}, of the image {assumed.image:.2f}, "
        f"their correlation among the ill and among the well {assumed.correlation:.2f}, {assumed.share:.0%} ill.",
        highlight=False,
    )
    console.print(_table(f"Patients for a 95 % interval of +- {plan.half_width:g}", ("AUROC of", "patients"), (
        (name, f"{patients:,}") for name, patients in plan.intervals.items()
    )))  # fmt: skip
    if plan.measured:
        columns = ("figure of the run", "now", "films", "groups")
        console.print(_table(f"Films like these for +- {plan.half_width:g}", columns, _measured(plan.measured)))
    title = f"Patients who show a gain over age and sex, in {plan.power:.0%} of studies"
    console.print(_table(title, ("AUROC of the image", "with age and sex", "gain", "patients", "drawn"), (
        (
            f"{each.scores.image:.2f}", f"{each.scores.together:.3f}", f"{each.scores.gain:+.3f}",
            f"{each.patients:,}" if each.patients else "none to show",
            f"{each.power:.0%}" if each.power is not None else "-",
        )
        for each in plan.gains
    )))  # fmt: skip
    console.print(
        "Drawn: the share of drawn studies of that size that show the gain. The scores are taken as known: to fit "
        "their combination on the same patients takes more of them.",
        highlight=False,
    )


def _measured(rows: Sequence[Needed]) -> Iterator[tuple[str, ...]]:
    for each in rows:
        if each.films and each.groups and "within" not in each.metric.name:
            figures = with_interval(each.metric), f"{each.films:,}", f"{each.groups:,}"
            yield f"{each.predictor}: {each.metric.name}", *figures


def _table(title: str, columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table
