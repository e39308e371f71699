"""What the evidence says, in words: the verdict of a page and of a model card, and figures as text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from osteolens.card import Metric
from osteolens.evaluation.evidence import Difference, Evidence
from osteolens.evaluation.maps.findings import MapChecks
from osteolens.evaluation.metrics import questions
from osteolens.evaluation.predictors import IMAGE, MAJORITY
from osteolens.inference.calibration import calibrate

AGE_AND_SEX = "baseline: age and sex"
FUSED = "image + age and sex"
KEY_FIGURES = ("balanced accuracy", "quadratic-weighted kappa", "ECE", "T-score MAE", "T-score Pearson r")
"""Shown beside the AUROCs; the other figures are in the long table."""
CALIBRATED_AT = 0.05
"""An ECE up to this counts as calibrated."""
RANDOMISED_BELOW = 0.5
"""A map that still resembles that of a model without learnt weights by more than this shows the picture."""
_ALONE = {
    "Yes": "The image alone does better than age and sex.",
    "In part": "The image alone does better than age and sex in some figures only.",
    "Not shown": "On these films the image alone cannot be told from age and sex.",
    "No, worse": "Age and sex, without any picture, do better.",
}
_ADDED = {
    "Yes": "With the image, age and sex predict better than without.",
    "In part": "With the image, age and sex predict better than without in some figures only.",
    "Not shown": "On these films, adding the image to age and sex shows no gain.",
    "No, worse": "Age and sex predict worse with the image than without.",
}
_MAPS = {
    "Yes": "Taking away what a map marks changes the answer more than taking away other parts, and the maps depend on "
    "what the model has learnt.",
    "In part": "Some of the checks speak for the maps, not all.",
    "Not shown": "No check speaks for the maps.",
}
_LOWER_IS_BETTER = ("ECE", "Brier score", "T-score MAE")
_NEITHER = ("T-score bias", "T-score lower limit of agreement", "T-score upper limit of agreement")

Tone = Literal["good", "mixed", "bad"]


@dataclass(frozen=True)
class Verdict:
    """A reader's question, the answer in a word or two, and the figures behind it."""

    question: str
    answer: str
    tone: Tone
    reason: str


def verdicts(evidence: Evidence, maps: MapChecks | None) -> list[Verdict]:
    """Does the image beat chance, and age and sex? Does it add to them? Is it calibrated? Are the maps worth a look?

    A question whose figures are missing (no ages, no map checks) is left out.
    """
    pairs = {(one.predictor, one.baseline): one for one in evidence.differences}
    asked = [question.name for question in questions(evidence.predictions.labels)]
    found = [_beats_chance(evidence), _knows_t_scores(evidence)]
    if (IMAGE, AGE_AND_SEX) in pairs:
        found.append(_compares("Is the image alone better than age and sex?", pairs[IMAGE, AGE_AND_SEX], _ALONE, asked))
    if (FUSED, AGE_AND_SEX) in pairs:
        found.append(_compares("Does the image add to age and sex?", pairs[FUSED, AGE_AND_SEX], _ADDED, asked))
    useless = found[0] is not None and found[0].answer == "Not shown"
    found += [_is_calibrated(evidence, useless), _maps_mean_something(evidence, maps, useless) if maps else None]
    return [verdict for verdict in found if verdict]


def find(evidence: Evidence, predictor: str, name: str) -> Metric | None:
    """A figure of a predictor by name; None where it is not defined."""
    metrics = next(evaluation.metrics for evaluation in evidence.evaluations if evaluation.subject == predictor)
    return next((metric for metric in metrics if metric.name == name), None)


def key_figures(names: Sequence[str]) -> list[str]:
    """Those of the figures that come first: the AUROCs and `KEY_FIGURES`."""
    return [*(name for name in names if name.startswith("AUROC")), *(name for name in KEY_FIGURES if name in names)]


def tone_of_difference(metric: Metric) -> Tone:
    """`good` where the interval of a difference lies wholly on the better side of 0, `bad` on the worse."""
    low, high = (-metric.high, -metric.low) if metric.name in _LOWER_IS_BETTER else (metric.low, metric.high)
    if metric.name in _NEITHER or low <= 0 <= high:
        return "mixed"
    return "good" if low > 0 else "bad"


def with_interval(metric: Metric, digits: int = 2) -> str:
    """Such as `0.81 (0.72 to 0.89)`."""
    return f"{metric.value:.{digits}f} ({metric.low:.{digits}f} to {metric.high:.{digits}f})"


def percent(metric: Metric, digits: int = 0) -> str:
    """A share, such as `81 % (72 % to 89 %)`."""
    value, low, high = (f"{100 * share:.{digits}f} %" for share in (metric.value, metric.low, metric.high))
    return f"{value} ({low} to {high})"


def signed(metric: Metric, digits: int = 3) -> str:
    """A difference, such as `+0.031 (-0.012 to +0.074)`."""
    return f"{metric.value:+.{digits}f} ({metric.low:+.{digits}f} to {metric.high:+.{digits}f})"


def slug(text: str) -> str:
    """A text as part of a file's name."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


def _beats_chance(evidence: Evidence) -> Verdict | None:
    asked = [question.name for question in questions(evidence.predictions.labels)]
    areas = {name: area for name in asked if (area := find(evidence, IMAGE, f"AUROC {name}"))}
    if not areas:
        return None
    above = [area.low > 0.5 for area in areas.values()]
    shares = "; ".join(f"{name}: {percent(area)}" for name, area in areas.items())
    reason = f"Of two films, one of each kind, the image alone ranks so many right: {shares}. Guessing gives 50 %."
    return _verdict("Does the image tell more than chance?", above, reason)


def _knows_t_scores(evidence: Evidence) -> Verdict | None:
    error, constant = (find(evidence, name, "T-score MAE") for name in (IMAGE, MAJORITY))
    if error is None or constant is None:
        return None
    reason = (
        f"On average it is off by {with_interval(error)} standard deviations; always naming the mean is off by "
        f"{with_interval(constant)}."
    )
    question = "Is its T-score better than always naming the mean?"
    if error.low > constant.value:
        return Verdict(question, "No, worse", "bad", reason)
    return _verdict(question, [error.high < constant.value], reason)


def _compares(question: str, difference: Difference, said: dict[str, str], asked: Sequence[str]) -> Verdict:
    names = [f"AUROC {question}" for question in asked] + ["T-score MAE"]  # pooled; within folds is for the tables
    metrics = [metric for metric in difference.metrics if metric.name in names]
    tones = [tone_of_difference(metric) for metric in metrics]
    verdict = _verdict(question, [tone == "good" for tone in tones], "")
    if "bad" in tones and "good" not in tones:
        verdict = replace(verdict, answer="No, worse")
    figures = "; ".join(f"{metric.name} {signed(metric)}" for metric in metrics)
    reason = f"{said[verdict.answer]} Differences on the same films: {figures}. An interval with 0 in it shows none."
    return replace(verdict, reason=reason)


def _is_calibrated(evidence: Evidence, useless: bool) -> Verdict | None:
    error = find(evidence, IMAGE, "ECE")
    if error is None:
        return None
    by_chance = evidence.ece_by_chance[IMAGE]
    good = error.value <= max(CALIBRATED_AT, by_chance)
    reason = (
        f"Its probabilities are off by {with_interval(error)} on average (expected calibration error), after "
        f"calibration on other films. Up to {CALIBRATED_AT:.2f} counts as calibrated here, and so does what 19 of 20 "
        f"perfectly calibrated answers about as many films would stay below by chance, {by_chance:.2f}."
    )
    verdict = Verdict("Is it calibrated?", "Yes" if good else "No", "good" if good else "bad", reason)
    if good and useless:
        empty = "Without more than chance in it, that means about the same probabilities for every film."
        return replace(verdict, answer="Yes, but empty", tone="mixed", reason=f"{reason} {empty}")
    return verdict


def reasons_for_no_triage(evidence: Evidence) -> list[str]:
    """Which answers give no zones, and why, a sentence each."""
    parameters = evidence.parameters
    reasons = {IMAGE: parameters.no_triage}
    reasons |= {f"{IMAGE} with {', '.join(fusion.inputs)}": fusion.no_triage for fusion in parameters.fusion}
    return [f"No zones from the {answer}: {reason}." for answer, reason in reasons.items() if reason]


def of_another_label(evidence: Evidence, maps: MapChecks) -> str:
    """What is wrong with checks that explained the likeliest label before calibration; empty where nothing is."""
    if maps.served:
        return ""
    logits = evidence.predictions.logits
    answered = calibrate(logits, evidence.parameters.calibration).argmax(axis=-1)
    other = float((answered != logits.argmax(axis=-1)).mean())
    return (
        f"The checks explained the likeliest label before calibration. For {100 * other:.0f} % of the films the answer "
        "after calibration is another, so they do not say what the maps that are shown rest on."
    )


def _maps_mean_something(evidence: Evidence, maps: MapChecks, useless: bool) -> Verdict:
    question = "Do the heat maps show what the answer rests on?"
    if wrong := of_another_label(evidence, maps):
        return Verdict(question, "Not measured", "mixed", wrong)
    named = {metric.name: metric for metric in maps.differences}
    better = [(m.high < 0) if name.startswith("deletion") else (m.low > 0) for name, m in named.items()]
    last = maps.cascade[-1]
    reason = "; ".join(f"{name} {signed(metric)}" for name, metric in named.items())
    verdict = _verdict(question, [*better, last.high < RANDOMISED_BELOW], "")
    text = (
        f"{_MAPS[verdict.answer]} Differences of areas: {reason} (deletion should be below 0, insertion above). With "
        f"all weights drawn anew the maps correlate by {with_interval(last)} with the true ones; it should be near 0."
    )
    if useless and verdict.answer != "Not shown":
        text += " But the answers are not shown to be better than chance: the maps show where guesses come from."
        return replace(verdict, answer=f"{verdict.answer}, of empty answers", tone="mixed", reason=text)
    return replace(verdict, reason=text)


def _verdict(question: str, passed: Sequence[bool], reason: str) -> Verdict:
    if all(passed):
        return Verdict(question, "Yes", "good", reason)
    return (
        Verdict(question, "In part", "mixed", reason) if any(passed) else Verdict(question, "Not shown", "bad", reason)
    )


def all_names(evidence: Evidence) -> list[str]:
    """The names of all figures, in order."""
    return list(dict.fromkeys(_names(evidence)))


def _names(evidence: Evidence) -> Iterator[str]:
    for evaluation in evidence.evaluations:
        yield from (metric.name for metric in evaluation.metrics)
