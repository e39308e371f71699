"""Answers in plain words, the same on pages and in the report."""

from osteolens.labels import OSTEOPENIA_BELOW, OSTEOPOROSIS_AT, label_from_t_score
from osteolens.parameters import OperatingPoints
from osteolens.schema import Source, Spread, TScore, Zone

TRIAGE: dict[Zone, str] = {
    "refer": "Refer: the probability of osteoporosis is in the range where few films without it are.",
    "uncertain": "Uncertain: the picture alone does not place this film on either side.",
    "low suspicion": "Low suspicion: most films with osteoporosis score higher. It rules nothing out: "
    "about one film with osteoporosis in ten is in this range.",
}

MEANING = (
    "The map shows which parts of the picture speak for the chosen class in this model's computation.",
    "Its colours are relative to its own maximum, the figure beside it. Where it is known how strong the model's maps "
    "usually are, a weaker one is drawn fainter by as much.",
    "It does not show bone density, a lesion or a fracture, and a plausible map does not make an answer right.",
    "Its detail is coarse, about a seventh of the film's side, however sharp it is drawn.",
)

WAITING = "The server that reads films cannot be reached. The film is kept and is read as soon as it is back."
WAITING_SHORT = "The film is being read."


def triage(zone: str) -> str:
    """A triage zone as a sentence; empty without one."""
    return TRIAGE.get(zone, "")  # type: ignore[call-overload, no-any-return]


def source(header: Source) -> str:
    """What a DICOM header says of how the film was made; empty if nothing."""
    parts = [header.body_part and header.body_part.lower(), header.side, header.view and f"view {header.view}"]
    if header.pixel_spacing_mm:
        parts.append(f"pixels of {header.pixel_spacing_mm[0]:.4g} x {header.pixel_spacing_mm[1]:.4g} mm")
    return " · ".join(filter(None, parts))


def percent(share: float) -> str:
    """A probability without decimals that is never shown as impossible or certain."""
    if 0 < share <= 0.005:
        return "below 1%"
    return "above 99%" if 0.995 <= share < 1 else f"{share:.0%}"


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
        text += f"; they give it between {low:.0%} and {high:.0%}"
    return f"{text}."


def operating_points(points: OperatingPoints) -> str:
    """Thresholds of triage, with sensitivity and specificity on films that the models had not seen."""
    low, high = points.high_sensitivity, points.high_specificity
    return (
        f"Refer from {high.threshold:.0%} probability of {points.label}: {high.specificity:.0%} of the films without it"
        f" were below, {high.sensitivity:.0%} of those with it above. Low suspicion below {low.threshold:.0%}: "
        f"{low.sensitivity:.0%} of the films with it were above, {low.specificity:.0%} of those without it below."
    )
