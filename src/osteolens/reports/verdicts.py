"""Verdicts in words: a reader's questions, each with an answer and the figures behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from osteolens.card import BEYOND_ACQUISITION, Difference
from osteolens.evaluation.evidence import Evidence
from osteolens.evaluation.maps.findings import MapChecks
from osteolens.evaluation.metrics import questions
from osteolens.evaluation.predictors import ACQUISITION, IMAGE, MAJORITY, own_films
from osteolens.inference.calibration import calibrate
from osteolens.reports.figures import (
    AGE_AND_SEX,
    FUSED,
    Tone,
    find,
    percent,
    signed,
    tone_of_difference,
    with_interval,
)

CALIBRATED_AT = 0.05
"""An ECE up to this counts as calibrated."""
RANDOMISED_BELOW = 0.5
"""A map that correlates more than this with the map of randomised weights shows the film, not what was learnt."""
_ALONE = {
    "Yes": "The image alone does better than age and sex.",
    "In part": "The image alone does better than age and sex in some figures only.",
    "Not shown": "On these films the image alone cannot be told from age and sex.",
    "No, worse": "Age and sex, without any picture, do better.",
}
_ADDED = {
    "Yes": "With the image, age and sex predict better than without.",
    "In part": "With the image, age and sex predict better than without in some figures only.",
    "Not shown": "No gain is shown.",
    "No, worse": "Age and sex predict worse with the image than without.",
}
_MAPS = {
    "Yes": "Removing what a map marks changes the answer more than removing other parts, and the maps depend on what "
    "the model has learnt.",
    "In part": "Some of the checks speak for the maps, not all.",
    "Not shown": "No check speaks for the maps.",
}


@dataclass(frozen=True)
class Verdict:
    """A reader's question, the answer in a word or two, and the figures behind it."""

    question: str
    answer: str
    tone: Tone
    reason: str


def verdicts(evidence: Evidence, maps: MapChecks | None) -> list[Verdict]:
    """Answer a reader's questions: chance, age and sex, their combination, calibration, heat maps.

    A question whose figures are missing (no ages, no map checks) is left out.
    """
    pairs = {(difference.predictor, difference.baseline): difference for difference in evidence.differences}
    chance = _beats_chance(evidence)
    useless = chance is not None and chance.answer == "Not shown"
    alone, added = "Is the image alone better than age and sex?", "Does the image add to age and sex?"
    answers = [
        chance,
        _beats_acquisition(evidence),
        _knows_t_scores(evidence),
        _compares(alone, pairs.get((IMAGE, AGE_AND_SEX)), _ALONE, evidence),
        _compares(added, pairs.get((FUSED, AGE_AND_SEX)), _ADDED, evidence),
        _is_calibrated(evidence, useless),
        _maps_mean_something(evidence, maps, useless) if maps else None,
    ]
    return [verdict for verdict in answers if verdict]


def reasons_for_no_triage(evidence: Evidence) -> list[str]:
    """Answers that give no zones, and why, a sentence each."""
    parameters = evidence.parameters
    reasons = {IMAGE: parameters.no_triage}
    reasons |= {f"{IMAGE} with {', '.join(fusion.inputs)}": fusion.no_triage for fusion in parameters.fusion}
    return [f"No zones from the {answer}: {reason}." for answer, reason in reasons.items() if reason]


def of_another_label(evidence: Evidence, maps: MapChecks) -> str:
    """Why checks that explained the likeliest label before calibration say little; empty where they did not."""
    if maps.served:
        return ""
    logits = evidence.predictions.logits
    answered = calibrate(logits, evidence.parameters.calibration).argmax(axis=-1)
    other = float((answered != logits.argmax(axis=-1)).mean())
    return (
        f"The checks explained the likeliest label before calibration. For {100 * other:.0f} % of the films the answer "
        "after calibration is another, so the checks do not tell what the displayed maps rest on."
    )


def _beats_chance(evidence: Evidence) -> Verdict | None:
    names = [question.name for question in questions(evidence.predictions.labels)]
    areas = {name: area for name in names if (area := find(evidence.evaluations, IMAGE, f"AUROC {name}"))}
    if not areas:
        return None
    above = [area.low > 0.5 for area in areas.values()]
    shares = "; ".join(f"{name}: {percent(area)}" for name, area in areas.items())
    reason = f"Of two films, one of each kind, the image alone ranks the right one higher this often: {shares}. "
    return _verdict("Does the image tell more than chance?", above, f"{reason}Guessing gives 50 %.")


def _beats_acquisition(evidence: Evidence) -> Verdict | None:
    names = [question.name for question in questions(evidence.predictions.labels)]
    beyond, alone = (
        {name: area for name in names if (area := find(evidence.evaluations, subject, f"AUROC {name}"))}
        for subject in (BEYOND_ACQUISITION, ACQUISITION)
    )
    if not beyond or not alone:
        return None
    shares = "; ".join(f"{name}: {percent(area)}" for name, area in beyond.items())
    known = "; ".join(f"{name}: {percent(area)}" for name, area in alone.items())
    reason = (
        f"Borders, brightness, sharpness, size and legs of the film, without its bone, rank two films right this "
        f"often: {known}. The image, with what these tell taken off its score: {shares}. Guessing gives 50 %."
    )
    return _verdict(
        "Does the image tell more than how the film was taken?", [area.low > 0.5 for area in beyond.values()], reason
    )


def _knows_t_scores(evidence: Evidence) -> Verdict | None:
    error, constant = (find(evidence.evaluations, name, "T-score MAE") for name in (IMAGE, MAJORITY))
    if error is None or constant is None:
        return None
    reason = (
        f"Its mean absolute error is {with_interval(error)} standard deviations. Always naming the mean has an error "
        f"of {with_interval(constant)}."
    )
    question = "Is its T-score better than always naming the mean?"
    # Against the constant's value alone: both errors are of the same films, so their intervals move together.
    if error.low > constant.value:
        return Verdict(question, "No, worse", "bad", reason)
    return _verdict(question, [error.high < constant.value], reason)


def _compares(
    question: str, difference: Difference | None, meanings: dict[str, str], evidence: Evidence
) -> Verdict | None:
    if difference is None:
        return None
    # Pooled AUROCs decide; those within folds are shown in the tables.
    names = [f"AUROC {each.name}" for each in questions(evidence.predictions.labels)] + ["T-score MAE"]
    metrics = [metric for metric in difference.metrics if metric.name in names]
    tones = [tone_of_difference(metric) for metric in metrics]
    verdict = _verdict(question, [tone == "good" for tone in tones], "")
    # Better in one figure and worse in another stays "In part": the tables show which.
    if "bad" in tones and "good" not in tones:
        verdict = replace(verdict, answer="No, worse")
    figures = "; ".join(f"{metric.name} {signed(metric)}" for metric in metrics)
    reason = f"{meanings[verdict.answer]} Differences on the same films: {figures}. "
    if verdict.answer == "Not shown":
        films = int(own_films(evidence.predictions, difference.predictor).sum())
        reason += f"{films} films could hardly show a small one: `osteolens plan` says how many would. "
    return replace(verdict, reason=f"{reason}An interval that contains 0 shows no difference.")


def _is_calibrated(evidence: Evidence, useless: bool) -> Verdict | None:
    error = find(evidence.evaluations, IMAGE, "ECE")
    if error is None:
        return None
    by_chance = evidence.ece_by_chance[IMAGE]
    # On few films even perfect probabilities have an ECE well above 0, so chance sets the limit there.
    good = error.value <= max(CALIBRATED_AT, by_chance)
    reason = (
        f"Its expected calibration error is {with_interval(error)}, after calibration on other films. Up to "
        f"{CALIBRATED_AT:.2f} counts as calibrated. So does up to {by_chance:.2f}: 19 of 20 perfectly calibrated "
        "models would stay below that on as many films."
    )
    verdict = Verdict("Is it calibrated?", "Yes" if good else "No", "good" if good else "bad", reason)
    if good and useless:
        empty = "As the image tells no more than chance, this means about the same probabilities for every film."
        return replace(verdict, answer="Yes, but empty", tone="mixed", reason=f"{reason} {empty}")
    return verdict


def _maps_mean_something(evidence: Evidence, maps: MapChecks, useless: bool) -> Verdict:
    question = "Do the heat maps show what the answer rests on?"
    if wrong := of_another_label(evidence, maps):
        return Verdict(question, "Not measured", "mixed", wrong)
    named = {metric.name: metric for metric in maps.differences}
    better = [(m.high < 0) if name.startswith("deletion") else (m.low > 0) for name, m in named.items()]
    last = maps.cascade[-1]
    figures = "; ".join(f"{name} {signed(metric)}" for name, metric in named.items())
    verdict = _verdict(question, [*better, last.high < RANDOMISED_BELOW], "")
    text = (
        f"{_MAPS[verdict.answer]} Differences of areas: {figures}. Deletion should be below 0, insertion above. With "
        f"all weights randomised, the maps correlate with the true ones by {with_interval(last)}; it should be near 0."
    )
    if useless and verdict.answer != "Not shown":
        text += " But the answers are not shown to be better than chance: the maps show where guesses come from."
        return replace(verdict, answer=f"{verdict.answer}, of empty answers", tone="mixed", reason=text)
    return replace(verdict, reason=text)


def _verdict(question: str, passed: Sequence[bool], reason: str) -> Verdict:
    if all(passed):
        return Verdict(question, "Yes", "good", reason)
    if any(passed):
        return Verdict(question, "In part", "mixed", reason)
    return Verdict(question, "Not shown", "bad", reason)
