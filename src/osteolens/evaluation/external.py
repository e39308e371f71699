"""External validation: what a finished model is worth on films of a place that it has not seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteolens.card import Difference, Evaluation
from osteolens.errors import DataError
from osteolens.evaluation.answers import Answers
from osteolens.evaluation.breakdown import evaluation, sampled_figures
from osteolens.evaluation.card_parameters import MIN_GROUPS, Fit, one_label_outside_a_part
from osteolens.evaluation.evaluate import evidence_of
from osteolens.evaluation.evidence import Choice, Evidence, Predictor
from osteolens.evaluation.metrics import RESAMPLES, Bootstrap, draw
from osteolens.evaluation.predictions import Predictions
from osteolens.evaluation.sample_size import Needed, films_needed
from osteolens.evaluation.slope import calibration_figures
from osteolens.evidence import border_of

HALF_WIDTH = 0.05
EVENTS = 100
"""Films with the finding, and without, that a validation is commonly said to need (Vergouwe et al., J. Clin. Epidemiol.
58:475, 2005)."""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same films.

    Attributes:
        name: The other model, with its version.
        films: Films that both answered.
        groups: Their groups.
        ours: Figures of the model on these films, by predictor.
        theirs: Those of the other one.
        differences: Ours less theirs, on the same resamples.
    """

    name: str
    films: int
    groups: int
    ours: tuple[Evaluation, ...]
    theirs: tuple[Evaluation, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Validation:
    """All that was measured.

    Attributes:
        answers: The model's answers.
        evidence: Figures, subgroups, sources, triage and coverage, as of a run.
        calibration: Calibration in the large and slope of each predictor of the model.
        half_width: Of the interval that is wanted.
        needed: Films for that.
        events: Films with the finding of interest and without, by name; empty where the labels do not have it.
        comparison: With another model, if one was named.
    """

    answers: Answers
    evidence: Evidence
    calibration: tuple[Evaluation, ...]
    half_width: float
    needed: tuple[Needed, ...]
    events: dict[str, int]
    comparison: Comparison | None = None

    def dump(self) -> dict[str, Any]:
        """Everything but the single answers, as plain JSON values."""
        answers, comparison = self.answers, self.comparison
        model = {"name": answers.name, "version": answers.version, "card_sha256": answers.card_sha256}
        return {
            "model": model,
            "leads_with": answers.evidence.leading,
            "shown_before": answers.evidence.model_dump(mode="json"),
            "films": len(answers.predictions.films),
            "groups": len(set(answers.predictions.groups)),
            "unanswered": list(answers.unanswered),
            **self.evidence.dump(),
            "calibration_at_this_place": [each.model_dump(mode="json") for each in self.calibration],
            "wanted_half_width": self.half_width,
            "films_needed": [
                {"predictor": each.predictor, "figure": each.metric.name, "films": each.films, "groups": each.groups}
                for each in self.needed
            ],
            "events": self.events,
            "comparison": None
            if comparison is None
            else {
                "other": comparison.name,
                "films": comparison.films,
                "groups": comparison.groups,
                "differences": [each.model_dump(mode="json") for each in comparison.differences],
            },
        }


def validate(
    answers: Answers, *, half_width: float = HALF_WIDTH, resamples: int = RESAMPLES, seed: int = 0
) -> Validation:
    """All figures of a finished model on labelled films, with intervals by group.

    Baselines (age and sex, file format, majority) are fitted on these films, each film's on the other fifths of the
    groups: what the place itself could do without a picture.

    Raises:
        DataError: There are too few groups or labels.
    """
    table = answers.predictions
    check(answers)
    draws = draw(table.groups, resamples, seed)
    fit = Fit(answers.parameters, Choice(method="none", candidates=()), answers.predictors)
    evidence = evidence_of(table, fit, draws, seed)
    calibration = tuple(
        Evaluation(
            subject=predictor.name,
            protocol=f"{predictor.protocol}; 95 % percentile intervals from {resamples} bootstrap resamples of groups",
            films=len(table.films),
            groups=len(set(table.groups)),
            metrics=calibration_figures(table, predictor, draws).metrics(),
        )
        for predictor in answers.predictors
    )
    return Validation(
        answers=answers,
        evidence=evidence,
        calibration=calibration,
        half_width=half_width,
        needed=films_needed(evidence.evaluations[: len(answers.predictors)], half_width),
        events=_events(answers),
    )


def check(answers: Answers) -> None:
    """Refuse films that are too few or too much alike.

    Raises:
        DataError: Says how many there are and how many are needed.
    """
    table = answers.predictions
    groups, labels = len(set(table.groups)), {film.label for film in table.films}
    if groups < MIN_GROUPS:
        raise DataError(f"{groups} groups are too few to evaluate on, at least {MIN_GROUPS} are needed")
    if len(labels) < 2:
        raise DataError(f"all films have the label {labels.pop()}: films of at least two labels are needed")
    if one_label_outside_a_part(table):
        raise DataError(
            "but for one fifth of the groups, all films have the same label: add films of the rare labels, of at least "
            "two groups in different fifths"
        )


def compare(first: Answers, second: Answers, *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Paired differences of two models, on the films that both answered.

    Raises:
        DataError: They have other labels, or too few films in common.
    """
    if first.predictions.labels != second.predictions.labels:
        both = [", ".join(answers.predictions.labels) for answers in (first, second)]
        raise DataError(f"{first.name} has the labels {both[0]}, {second.name} {both[1]}: they cannot be compared")
    files = [{film.file for film in answers.predictions.films} for answers in (first, second)]
    common = files[0] & files[1]
    first, second = (
        answers.among(np.array([film.file in common for film in answers.predictions.films]))
        for answers in (first, second)
    )
    check(first)
    table = first.predictions
    draws = draw(table.groups, resamples, seed)
    ours, theirs = (
        {predictor.name: _sampled(table, predictor, draws) for predictor in answers.predictors}
        for answers in (first, second)
    )
    names = [name for name in ours if name in theirs]
    titles = [f"{answers.name} {answers.version}" for answers in (first, second)]
    if titles[0] == titles[1]:
        titles = [
            f"{title} ({answers.card_sha256[:8]})" for title, answers in zip(titles, (first, second), strict=True)
        ]
    figures = [
        tuple(
            evaluation(table, predictor, sampled[predictor.name], resamples).model_copy(
                update={"subject": f"{predictor.name}, {title}"}
            )
            for predictor in answers.predictors
            if predictor.name in names
        )
        for answers, sampled, title in zip((first, second), (ours, theirs), titles, strict=True)
    ]
    return Comparison(
        name=titles[1],
        films=len(table.films),
        groups=len(set(table.groups)),
        ours=figures[0],
        theirs=figures[1],
        differences=tuple(
            Difference(
                predictor=f"{name}, {titles[0]}",
                baseline=titles[1],
                metrics=ours[name].minus(theirs[name]).metrics(),
            )
            for name in names
        ),
    )


def _sampled(table: Predictions, predictor: Predictor, draws: NDArray[np.float64]) -> Bootstrap:
    """The figures of a run, and calibration in the large and slope."""
    parts = sampled_figures(table, predictor, draws), calibration_figures(table, predictor, draws)
    return Bootstrap(parts[0].point | parts[1].point, parts[0].resampled | parts[1].resampled)


def _events(answers: Answers) -> dict[str, int]:
    labels = answers.predictions.labels
    label = answers.evidence.border or border_of(labels)
    ill = int((answers.predictions.truth >= labels.index(label)).sum())
    return {label: ill, f"no {label}": len(answers.predictions.films) - ill}
