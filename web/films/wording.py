"""Answers in plain words, the same on pages and in the report."""

from collections.abc import Sequence

from osteolens.labels import OSTEOPENIA_BELOW, OSTEOPOROSIS_AT, label_from_t_score
from osteolens.parameters import OperatingPoints, PatientFact, fact_words
from osteolens.quality import Source
from osteolens.schema import Spread, TScore, percent

OUTDATED = "Outdated: facts about the patient have changed since this answer. A new one is on its way."

MEANING = (
    "The map shows which parts of the picture speak for the chosen class in this model's computation.",
    "Its colours are relative to its own maximum, the figure beside it. Where it is known how strong the model's maps "
    "usually are, a weaker one is drawn fainter by as much.",
    "It does not show bone density, a lesion or a fracture, and a plausible map does not make an answer right.",
    "Its detail is coarse, about a seventh of the film's side, however sharp it is drawn.",
)

WAITING = "The server that reads films cannot be reached. The film is kept and is read as soon as it is back."
BUSY = "The server that reads films has no room at the moment. The film is kept and is read in turn."
WAITING_SHORT = "The film is being read."


def triage(zone: str, points: OperatingPoints | None, inputs: Sequence[PatientFact] = ()) -> str:
    """A triage zone as a sentence; empty without one.

    Args:
        zone: One of `osteolens.schema.Zone`, or empty.
        points: The thresholds behind it, with what they reach; None where the card is not at hand.
        inputs: Facts about the patient that were used beside the film.
    """
    if not zone:
        return ""
    if points is None:
        return f"{zone.capitalize()}: the model's card, which says how often this is right, is not at hand."
    low, high, label = points.high_sensitivity, points.high_specificity, points.label
    source = f"the film with {fact_words(inputs)}" if inputs else "the film alone"
    measured = f"On films the model had not seen, {source}"
    if zone == "refer":
        return (
            f"Refer: the probability of {label} is {percent(high.threshold)} or more. {measured} put "
            f"{percent(high.sensitivity)} of those with {label} here, and {percent(1 - high.specificity)} of those "
            "without it."
        )
    if zone == "low suspicion":
        return (
            f"Low suspicion: the probability of {label} is below {percent(low.threshold)}. {measured} put "
            f"{percent(low.specificity)} of those without {label} here, and {percent(1 - low.sensitivity)} of those "
            "with it. It rules nothing out."
        )
    between = f"between {percent(low.threshold)} and {percent(high.threshold)}"
    return f"Uncertain: the probability of {label} is {between}, which places this film on neither side."


def source(header: Source) -> str:
    """What a DICOM header says of how the film was made; empty if nothing."""
    parts = [header.body_part and header.body_part.lower(), header.side, header.view and f"view {header.view}"]
    if header.pixel_spacing_mm:
        parts.append(f"pixels of {header.pixel_spacing_mm[0]:.4g} x {header.pixel_spacing_mm[1]:.4g} mm")
    return " · ".join(filter(None, parts))


def map_strength(share: float | None) -> str:
    """Comparison of a map's maximum with those of the training films; empty where that is not known."""
    if share is None:
        return ""
    median = "the training films' median"
    return f"map strength {percent(share)} of {median}" if share < 1 else f"map strength at or above {median}"


def t_score(score: TScore) -> str:
    """A T-score with its interval and its place on the WHO scale."""
    text = f"T-score {score.estimate:+.1f}"
    if score.interval_90:
        low, high = score.interval_90
        text += f"; the measured one is between {low:+.1f} and {high:+.1f}"
        text += " for nine films in ten like those it was fitted on"
    return f"{text}. On the WHO scale {score.estimate:+.1f} is {label_from_t_score(score.estimate)} ({who_scale()})."


def who_scale() -> str:
    """The limits of the WHO definition."""
    return f"normal from {OSTEOPENIA_BELOW:g}, osteoporosis at {OSTEOPOROSIS_AT:g} and below"


def spread(ensemble: Spread, label: str) -> str:
    """Agreement of the members of an ensemble."""
    low, high = ensemble.low.get(label), ensemble.high.get(label)
    text = f"{ensemble.agreeing} of {ensemble.members} models, trained on different parts of the films, say {label} too"
    if low is not None and high is not None:
        text += f"; they give it between {percent(low)} and {percent(high)}"
    return f"{text}."


def operating_points(points: OperatingPoints) -> str:
    """Thresholds of triage, with sensitivity and specificity on films that the models had not seen."""
    low, high, label = points.high_sensitivity, points.high_specificity, points.label
    return (
        f"Refer from {percent(high.threshold)} probability of {label}: sensitivity {percent(high.sensitivity)}, "
        f"specificity {percent(high.specificity)}. Low suspicion below {percent(low.threshold)}: sensitivity "
        f"{percent(low.sensitivity)}, specificity {percent(low.specificity)}. Measured on films the model had not seen."
    )
