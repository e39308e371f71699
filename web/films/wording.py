"""Answers in plain words, the same on pages and in the report."""

from collections.abc import Sequence

from django.utils.translation import gettext, gettext_lazy

from films import terms
from films.terms import number, share, word
from osteolens.labels import OSTEOPENIA_BELOW, OSTEOPOROSIS_AT, label_from_t_score
from osteolens.parameters import OperatingPoints, PatientFact
from osteolens.quality import Source
from osteolens.schema import Spread, TScore

OUTDATED = gettext_lazy("Outdated: facts about the patient have changed since this answer. A new one is on its way.")

MEANING = (
    gettext_lazy("The map shows which parts of the picture speak for the chosen class in this model's computation."),
    gettext_lazy(
        "Its colours are relative to its own maximum, the figure beside it. Where it is known how strong the model's "
        "maps usually are, a weaker one is drawn fainter by as much."
    ),
    gettext_lazy(
        "It does not show bone density, a lesion or a fracture, and a plausible map does not make an answer right."
    ),
    gettext_lazy("Its detail is coarse, about a seventh of the film's side, however sharp it is drawn."),
    gettext_lazy(
        "It ends where the model's view of the film ends, in a straight edge or fading towards it: what lies outside "
        "was cropped off and not looked at."
    ),
)

WAITING = gettext_lazy(
    "The server that reads films cannot be reached. The film is kept and is read as soon as it is back."
)
BUSY = gettext_lazy("The server that reads films has no room at the moment. The film is kept and is read in turn.")
WAITING_SHORT = gettext_lazy("The film is being read.")


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
        text = gettext("%(zone)s: the model's card, which says how often this is right, is not at hand.")
        return text % {"zone": word(zone).capitalize()}
    low, high = points.high_sensitivity, points.high_specificity
    values = {"label": word(points.label), "source": terms.source(inputs), "low": share(low.threshold)}
    if zone == "refer":
        return gettext(
            "Refer: the probability of %(label)s is %(high)s or more. On films the model had not seen, %(source)s put "
            "%(with)s of those with %(label)s here, and %(without)s of those without it."
        ) % {
            **values,
            "high": share(high.threshold),
            "with": share(high.sensitivity),
            "without": share(1 - high.specificity),
        }
    if zone == "low suspicion":
        return gettext(
            "Low suspicion: the probability of %(label)s is below %(low)s. On films the model had not seen, %(source)s "
            "put %(without)s of those without %(label)s here, and %(with)s of those with it. It rules nothing out."
        ) % {**values, "with": share(1 - low.sensitivity), "without": share(low.specificity)}
    return gettext(
        "Uncertain: the probability of %(label)s is between %(low)s and %(high)s, which places this film on neither "
        "side."
    ) % {**values, "high": share(high.threshold)}


def source(header: Source) -> str:
    """What a DICOM header says of how the film was made; empty if nothing."""
    parts = [
        header.body_part and header.body_part.lower(),
        header.side and word(header.side),
        header.view and gettext("view %(name)s") % {"name": header.view},
    ]
    if header.pixel_spacing_mm:
        high, wide = (number(side, ".4g") for side in header.pixel_spacing_mm)
        parts.append(gettext("pixels of %(high)s x %(wide)s mm") % {"high": high, "wide": wide})
    return " · ".join(filter(None, parts))


def map_strength(strength: float | None) -> str:
    """Comparison of a map's maximum with those of the training films; empty where that is not known."""
    if strength is None:
        return ""
    if strength < 1:
        return gettext("map strength %(share)s of the training films' median") % {"share": share(strength)}
    return gettext("map strength at or above the training films' median")


def t_score(score: TScore) -> str:
    """A T-score with its interval and its place on the WHO scale."""
    values = {
        "estimate": number(score.estimate, "+.1f"),
        "label": word(label_from_t_score(score.estimate)),
        "scale": who_scale(),
    }
    if not score.interval_90:
        text = gettext("T-score %(estimate)s. On the WHO scale %(estimate)s is %(label)s (%(scale)s).")
        return text % values
    low, high = score.interval_90
    return gettext(
        "T-score %(estimate)s; the measured one is between %(low)s and %(high)s for nine films in ten like those it "
        "was fitted on. On the WHO scale %(estimate)s is %(label)s (%(scale)s)."
    ) % {**values, "low": number(low, "+.1f"), "high": number(high, "+.1f")}


def who_scale() -> str:
    """The limits of the WHO definition."""
    return gettext("normal from %(normal)s, osteoporosis at %(osteoporosis)s and below") % {
        "normal": number(OSTEOPENIA_BELOW, "g"),
        "osteoporosis": number(OSTEOPOROSIS_AT, "g"),
    }


def spread(ensemble: Spread, label: str) -> str:
    """Agreement of the members of an ensemble."""
    low, high = ensemble.low.get(label), ensemble.high.get(label)
    values = {"agreeing": ensemble.agreeing, "members": ensemble.members, "label": word(label)}
    if low is None or high is None:
        return (
            gettext("%(agreeing)s of %(members)s models, trained on different parts of the films, say %(label)s too.")
            % values
        )
    return gettext(
        "%(agreeing)s of %(members)s models, trained on different parts of the films, say %(label)s too; they give it "
        "between %(low)s and %(high)s."
    ) % {**values, "low": share(low), "high": share(high)}


def operating_points(points: OperatingPoints) -> str:
    """Thresholds of triage, with sensitivity and specificity on films that the models had not seen."""
    low, high = points.high_sensitivity, points.high_specificity
    return gettext(
        "Refer from %(high)s probability of %(label)s: sensitivity %(high_sensitivity)s, specificity "
        "%(high_specificity)s. Low suspicion below %(low)s: sensitivity %(low_sensitivity)s, specificity "
        "%(low_specificity)s. Measured on films the model had not seen."
    ) % {
        "label": word(points.label),
        "high": share(high.threshold),
        "high_sensitivity": share(high.sensitivity),
        "high_specificity": share(high.specificity),
        "low": share(low.threshold),
        "low_sensitivity": share(low.sensitivity),
        "low_specificity": share(low.specificity),
    }
