"""The library's words in the language of the page.

Answers are stored with the library's English sentences. Evidence is put into words again from its values; other
sentences are recognised by their pattern. What is not recognised stays as it is.
"""

import re
from collections.abc import Iterable, Sequence

from django.utils.formats import get_format
from django.utils.translation import gettext, gettext_lazy, gettext_noop

from osteolens.evidence import Evidence, Figure
from osteolens.parameters import FACT_WORDS, PatientFact
from osteolens.schema import NO_FINDING, Answer, Lead, Part

WORDS = {
    "normal": gettext_lazy("normal"),
    "osteopenia": gettext_lazy("osteopenia"),
    "osteoporosis": gettext_lazy("osteoporosis"),
    "severe osteoporosis": gettext_lazy("severe osteoporosis"),
    "refer": gettext_lazy("refer"),
    "uncertain": gettext_lazy("uncertain"),
    "low suspicion": gettext_lazy("low suspicion"),
    NO_FINDING: gettext_lazy("no finding"),
    "osteoarthritis": gettext_lazy("osteoarthritis"),
    "female": gettext_lazy("female"),
    "male": gettext_lazy("male"),
    "left": gettext_lazy("left"),
    "right": gettext_lazy("right"),
    "age": gettext_lazy("age"),
    "sex": gettext_lazy("sex"),
    "weight": gettext_lazy("weight"),
    "height": gettext_lazy("height"),
}
"""Words of labels, conditions, zones and facts; other labels are names and stay."""

_SENTENCES = (
    gettext_noop("this does not look like a radiograph of a knee from the front, which is expected"),
    gettext_noop("bone is darker than its surroundings, expected brighter bone: invert the picture"),
    gettext_noop("there seems to be a prosthesis, plate, nail or screw, expected a knee without metal"),
    gettext_noop("this looks like a photograph of a screen or light box, expected the film's own file"),
    gettext_noop("the leg leans far to one side, expected an upright film: turn it straight"),
    gettext_noop("text or a drawing lies over the film, expected marks at its edge alone"),
    gettext_noop("several pictures are put together, expected one film in a file"),
    gettext_noop("the film lies turned, expected the thigh at the top: turn it upside down"),
    gettext_noop("the film lies turned, expected the thigh at the top: turn it by %(degrees)s degrees clockwise"),
    gettext_noop("the film lay turned by %(degrees)s degrees clockwise, and was turned back before it was read"),
    gettext_noop("bone was darker than its surroundings, and the film was inverted before it was read"),
    gettext_noop("the picture has only %(width)s x %(height)s pixels, expected at least %(least)s on its short side"),
    gettext_noop("no knee joint was found; expected a film from the front with one knee or both"),
    gettext_noop("%(count)s knee joints were found; expected one knee or both of one person"),
    gettext_noop("part of a knee joint lies beyond the edge; expected the whole tibial plateau"),
    gettext_noop("the header names a body part that is not the knee, expected KNEE"),
    gettext_noop("the header names body part %(part)s, expected KNEE"),
    gettext_noop("the header names the view %(view)s, expected AP or PA"),
    gettext_noop("the picture is dark: its brightest part has the level %(level)s of 255"),
    gettext_noop("the picture is bright: half of it is above the level %(level)s of 255"),
    gettext_noop("the picture has little contrast: its levels span %(level)s of 255"),
    gettext_noop("the picture is blurred"),
    gettext_noop("the film is unlike those that the model was trained on: its answer is a guess"),
    gettext_noop("the film looks inverted: bone is darker than its surroundings; invert it if so"),
    gettext_noop("the window in the DICOM header shows nothing of the film, so the film's own range was used"),
    gettext_noop("the brightness changes by a step as in a damaged JPEG: compare the picture with the original film"),
    gettext_noop("the EXIF data are damaged, so the picture was taken as upright"),
    gettext_noop("the whole picture is marked as transparent, which was ignored"),
    gettext_noop("the header names both the left and the right side: the side was taken as unknown"),
    gettext_noop("the header's age cannot be right and was not used"),
    gettext_noop("the header's weight cannot be right and was not used"),
    gettext_noop("the header's size cannot be right and was not used"),
    gettext_noop("The picture was refused, and answered on request: no figure of this model holds for it."),
    gettext_noop("This answer came without evidence of what its model knows."),
    gettext_noop("this answer came without evidence of what its model knows"),
    gettext_noop("the picture was refused"),
)
_AS_MADE = gettext_noop("%(fault)s, expected a film as it was made")
_HOLE = re.compile(r"%\\\((\w+)\\\)s|%\((\w+)\)s")


def _pattern(sentence: str) -> re.Pattern[str]:
    return re.compile(_HOLE.sub(lambda hole: f"(?P<{hole[1] or hole[2]}>.+?)", re.escape(sentence)))


_PATTERNS = [(_pattern(sentence), sentence) for sentence in _SENTENCES]


def word(text: str) -> str:
    """A label, a zone or the name of a fact."""
    return str(WORDS.get(text, text))


def sentence(text: str) -> str:
    """A warning, or a reason not to answer a film, or several that are joined by semicolons."""
    if translation := _known(text):
        return translation
    parts = text.split("; ")
    # A sentence may hold a semicolon itself.
    for count in range(1, len(parts)):
        if translation := _known("; ".join(parts[:count])):
            return f"{translation}; {sentence('; '.join(parts[count:]))}"
    return text


def sentences(texts: Iterable[str]) -> str:
    """Warnings in a row."""
    return "; ".join(map(sentence, texts))


def _known(text: str) -> str | None:
    """A single sentence of the library's; None for any other text."""
    if match := _pattern(_AS_MADE).fullmatch(text):
        return gettext(_AS_MADE) % {"fault": sentence(match["fault"])}
    for pattern, known in _PATTERNS:
        if match := pattern.fullmatch(text):
            return gettext(known) % match.groupdict()
    return None


def number(value: float, form: str = ".2f") -> str:
    """A number with the language's decimal sign."""
    return f"{value:{form}}".replace(".", str(get_format("DECIMAL_SEPARATOR")))


def share(value: float) -> str:
    """A probability in whole percent that is never shown as impossible or certain."""
    if 0 < value <= 0.005:
        return gettext("below 1%%") % ()
    if 0.995 <= value < 1:
        return gettext("above 99%%") % ()
    return gettext("%(number)s%%") % {"number": f"{100 * value:.0f}"}


def facts(names: Sequence[PatientFact]) -> str:
    """Facts in words, such as `age, sex and weight`; at least one."""
    *first, last = (word(FACT_WORDS[name]) for name in names)
    return gettext("%(first)s and %(last)s") % {"first": ", ".join(first), "last": last} if first else last


def headline(text: str) -> str:
    """What an answer leads with: a label with what it grades and the facts that it needed, or no finding."""
    condition, separator, rest = text.partition(": ")
    if separator and condition in WORDS:
        return f"{word(condition)}: {headline(rest)}"
    label, separator, names = text.rpartition(" with ")
    known = {words: name for name, words in FACT_WORDS.items()}
    parts = re.split(r", | and ", names)
    if separator and all(part in known for part in parts):
        return gettext("%(label)s with %(facts)s") % {"label": word(label), "facts": facts([known[p] for p in parts])}
    return word(text)


def source(inputs: Sequence[PatientFact], *, film_has_weight: bool = True) -> str:
    """What an answer comes from, as the object of `from`."""
    if not inputs:
        return gettext("the film alone")
    form = (
        gettext("the film with %(facts)s") if film_has_weight else gettext("%(facts)s (the film adds nothing to them)")
    )
    return form % {"facts": facts(inputs)}


def part_source(part: Part) -> str:
    """Heading of a part of an answer."""
    inputs = getattr(part.answer, "inputs", ())
    return gettext("with %(facts)s") % {"facts": facts(inputs)} if inputs else gettext("film alone")


def question(text: str) -> str:
    """What an AUROC is of."""
    if text.endswith(" vs rest"):
        return gettext("%(label)s vs rest") % {"label": word(text.removesuffix(" vs rest"))}
    if text.endswith(" and above vs below"):
        return gettext("%(label)s and above vs below") % {"label": word(text.removesuffix(" and above vs below"))}
    return text


def grades(answer: Answer) -> str:
    """The question that a model answers: what its labels grade, and from which on a film counts as ill."""
    *labels, last = map(word, answer.probabilities)
    values = {"labels": ", ".join(labels), "last": last}
    if not answer.evidence or not answer.evidence.condition:
        return gettext("The model's labels: %(labels)s or %(last)s.") % values
    values |= {"condition": word(answer.evidence.condition), "border": word(answer.evidence.border)}
    if values["border"] == last:
        return gettext("The model grades %(condition)s: %(labels)s or %(last)s.") % values
    return (
        gettext("The model grades %(condition)s: %(labels)s or %(last)s. From %(border)s on, a knee counts as ill.")
        % values
    )


def lead_sentence(answer: Answer, lead: Lead) -> str:
    """The evidence behind what an answer leads with, or behind its leading with nothing."""
    if not answer.quality.accepted or answer.evidence is None:
        return sentence(lead.sentence)
    fused = answer.evidence.of(answer.fused.inputs) if answer.fused else None
    return evidence(answer.evidence.image if lead.part == "image" else fused or answer.evidence.image)


def lead_text(answer: Answer, lead: Lead) -> str:
    """What an answer leads with and what it comes from, or that there is no finding; `lead_sentence` says why."""
    if lead.label is not None and answer.evidence:
        behind = answer.evidence.image if lead.part == "image" or not answer.fused else None
        behind = behind or answer.evidence.of(answer.fused.inputs if answer.fused else ())
        where = source(behind.inputs, film_has_weight=behind.film_has_weight) if behind else ""
        name = headline(answer.evidence.names(lead.label))
        return gettext("%(label)s from %(source)s") % {"label": name, "source": where}
    if not answer.quality.accepted or answer.evidence is None:
        return f"{word(NO_FINDING)}: {sentence(lead.text.partition(': ')[2])}"
    return word(NO_FINDING)


def evidence(behind: Evidence) -> str:
    """All that is known of a model from the film alone, or with facts about the patient, in a sentence."""
    where = {"source": source(behind.inputs, film_has_weight=behind.film_has_weight)}
    if behind.auroc is None:
        text = gettext(
            "From %(source)s, this model has not been shown to tell more than chance: its card has no such figure."
        )
        if behind.sentence.endswith("its figures are of films that chose the epoch."):  # of a trial run
            text = gettext(
                "From %(source)s, this model has not been shown to tell more than chance: its figures are of films "
                "that chose the epoch."
            )
        return text % where
    values = where | {"figure": _figure(behind, behind.auroc)}
    if not behind.beats_chance:
        text = gettext("From %(source)s, this model has not been shown to tell more than chance: %(figure)s.") % values
        questions = ", ".join(map(question, behind.also_shown))
        also = gettext("For %(questions)s it has been shown.") % {"questions": questions}
        return f"{text} {also}" if questions else text
    if behind.beats_age_and_sex is None:
        return gettext("From %(source)s, this model tells more than chance: %(figure)s.") % values
    if behind.beats_age_and_sex:
        return (
            gettext("From %(source)s, this model tells more than chance, and more than age and sex alone: %(figure)s.")
            % values
        )
    return (
        gettext(
            "From %(source)s, this model tells more than chance, but has not been shown to tell more than age and sex "
            "alone: %(figure)s."
        )
        % values
    )


def _figure(behind: Evidence, area: Figure) -> str:
    """AUROC with its interval, what it is compared with, and the films that it was measured on."""
    beyond = behind.beyond_acquisition
    values = {"value": number(area.value), "low": number(area.low), "high": number(area.high), "chance": number(0.5)}
    text = gettext("AUROC %(value)s (%(low)s to %(high)s; guessing is %(chance)s)")
    if behind.age_and_sex is not None:
        values["facts"] = number(behind.age_and_sex)
        text = gettext(
            "AUROC %(value)s (%(low)s to %(high)s; guessing is %(chance)s; age and sex alone reach %(facts)s)"
        )
    if behind.age_and_sex is not None and behind.gain:
        ends = {"least": behind.gain.low, "gain": behind.gain.value, "most": behind.gain.high}
        values |= {name: number(value, "+z.2f") for name, value in ends.items()}
        text = gettext(
            "AUROC %(value)s (%(low)s to %(high)s; guessing is %(chance)s; age and sex alone reach %(facts)s, the "
            "difference is %(gain)s, %(least)s to %(most)s)"
        )
    text %= values
    if beyond is not None:
        values = {"value": number(beyond.value), "low": number(beyond.low), "high": number(beyond.high)}
        text += gettext(", and beyond how the films were taken %(value)s (%(low)s to %(high)s)") % values
    return gettext("%(figure)s for %(question)s, on %(films)s films of %(groups)s groups (%(collection)s)") % {
        "figure": text,
        "question": question(behind.question),
        "films": behind.films,
        "groups": behind.groups,
        "collection": behind.collection,
    }
