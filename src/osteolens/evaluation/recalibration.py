"""A finished model's fitted numbers, fitted again on films of a place; its weights stay as they are.

What is reported of a film was fitted on the other fifths of the groups, as in a cross-validation.
"""

from dataclasses import dataclass, replace

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from osteolens.card import Card, Parent
from osteolens.errors import DataError
from osteolens.evaluation.answers import Answers
from osteolens.evaluation.card_parameters import MIN_PER_SIDE, Fit, fit_out_of_fold, reasons_left_out
from osteolens.evaluation.evaluate import apply_to_card, evidence_of
from osteolens.evaluation.evidence import Choice, Evidence
from osteolens.evaluation.external import Comparison, compare
from osteolens.evaluation.metrics import RESAMPLES, draw
from osteolens.parameters import FittedOn

MIN_GROUPS, MIN_GROUPS_PER_LABEL = 50, 10
"""Patients, and patients of each label, below which nothing is fitted again."""


@dataclass(frozen=True)
class Recalibration:
    """What was fitted again, and what came of it.

    Attributes:
        before: Evidence of the answers as the model was served.
        after: Evidence of the answers with the new numbers, cross-fitted; its parameters are fitted on all films.
        comparison: After less before, on the same resamples.
    """

    before: Evidence
    after: Evidence
    comparison: Comparison


def recalibrate(answers: Answers, *, resamples: int = RESAMPLES, seed: int = 0) -> Recalibration:
    """Fit calibration, operating points, T-score interval and fusions again.

    Args:
        answers: Of a model folder or an archive, whose logits are those of the model.
        resamples: For the intervals.
        seed: For the resamples.

    Raises:
        DataError: There are too few groups, in all or of a label.
    """
    refuse_few(answers)
    # Without the split: its groups are then parted into five folds.
    table = replace(answers.predictions, split=None)
    draws = draw(table.groups, resamples, seed)
    who = f"{answers.name} {answers.version} with its weights, which were trained elsewhere"
    with threadpool_limits(limits=1):  # hundreds of small fits: several threads would only wait for each other
        fit = fit_out_of_fold(table, draws, who, MIN_PER_SIDE)
        fitted_on = FittedOn(
            part="site",
            films=len(table.films),
            groups=len(set(table.groups)),
            left_out=reasons_left_out(table, fit.parameters, "films"),
        )
        fit = replace(fit, parameters=fit.parameters.model_copy(update={"fitted_on": fitted_on}))
        after = evidence_of(table, fit, draws, seed)
        served = Fit(answers.parameters, Choice(method="none", candidates=()), answers.predictors)
        before = evidence_of(answers.predictions, served, draws, seed)
    fitted = replace(answers, version=next_version(answers.version), predictions=table, predictors=fit.predictors)
    return Recalibration(before, after, compare(fitted, replace(answers, predictions=table), resamples=resamples))


def refuse_few(answers: Answers) -> None:
    """Refuse to fit on too few groups.

    Raises:
        DataError: Says how many there are, and how many are needed.
    """
    films = answers.predictions.films
    groups = len({film.group for film in films})
    if groups < MIN_GROUPS:
        raise DataError(
            f"{groups} groups are too few to recalibrate on, at least {MIN_GROUPS} are needed, and "
            f"{MIN_GROUPS_PER_LABEL} of each label; osteolens evaluate says what the model is worth as it is"
        )
    for label in answers.predictions.labels:
        count = len({film.group for film in films if film.label == label})
        if count < MIN_GROUPS_PER_LABEL:
            raise DataError(
                f"{count} groups have the label {label}, at least {MIN_GROUPS_PER_LABEL} of each label are needed"
            )


def next_version(version: str) -> str:
    """The version that follows: `1.1` after `1.0` or `1`, `1.0.4` after `1.0.3`."""
    *first, last = version.split(".") if "." in version else (version, "0")
    return ".".join([*first, str(int(last) + 1)])


def recalibrated_card(card: Card, recalibration: Recalibration, *, name: str, place: str) -> Card:
    """The card of the recalibrated model, which names its parent.

    What was measured of graphs of lower precision rests on the earlier calibration, and is dropped.

    Args:
        card: The parent's.
        recalibration: Its numbers fitted again.
        name: The new model's name.
        place: The films, in words.
    """
    parent = Parent(name=card.name, version=card.version, card_sha256=card.sha256, place=place)
    update = {"name": name, "version": next_version(card.version), "parent": parent, "quantisation": ()}
    return apply_to_card(card.model_copy(update=update), recalibration.after)
