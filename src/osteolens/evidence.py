"""The rule by which an answer leads with a label, or does not: what a model was shown to know, from its card.

A label leads only where the 95 % interval of the model's AUROC excludes 0.5; from the film alone, only where that of
its AUROC beyond acquisition (how the films were taken) does so too, if the card has it. No other module decides this;
whatever is shown, printed or written to an archive takes `Answer.lead` and `Answer.evidence`.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from osteolens.card import BEYOND_ACQUISITION, Card, Difference, Evaluation, Metric
from osteolens.labels import SEVERITY, usual
from osteolens.parameters import PatientFact, fact_words

IMAGE, AGE_AND_SEX = "image", "baseline: age and sex"
_CHANCE, _AUROC, _WITHIN = 0.5, "AUROC ", "AUROC within "
_ILL = "osteoporosis"


class Figure(BaseModel):
    """A measured figure with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


class Evidence(BaseModel):
    """What a model was shown to know from the film alone, or from the film and facts about the patient."""

    model_config = ConfigDict(frozen=True)

    inputs: tuple[PatientFact, ...] = Field((), description="facts beside the film; none: the film alone")
    film_has_weight: bool = Field(
        True, description="false: the film added nothing when the fusion was fitted, and the facts alone make the label"
    )
    question: str = Field(description="what the AUROC is of, such as `osteoporosis vs rest`")
    auroc: Figure | None = Field(None, description="with its 95 % interval over groups; null where none was measured")
    films: int = Field(0, description="films that it was measured on")
    groups: int = Field(0, description="groups (patients) that these films are of")
    collection: str = Field("", description="the films in words")
    age_and_sex: float | None = Field(
        None, description="AUROC of age and sex without a film, on the same films; null where that was not measured"
    )
    gain: Figure | None = Field(
        None, description="the AUROC less that of age and sex, on the same films; null where that was not measured"
    )
    beyond_acquisition: Figure | None = Field(
        None, description="AUROC of the film alone beyond how it was taken; null where that was not measured"
    )
    beats_chance: bool = Field(
        False,
        description="whether the interval excludes 0.5, and that of the AUROC beyond acquisition does, if measured",
    )
    beats_age_and_sex: bool | None = Field(
        None,
        description="whether it beats chance, and the interval of its AUROC less that of age and sex on the same films "
        "lies above 0; null where that was not measured",
    )
    also_shown: tuple[str, ...] = Field((), description="other questions whose interval excludes 0.5")
    sentence: str = Field(description="all of this in a sentence")

    @property
    def source(self) -> str:
        """What the answer comes from, such as `the film alone` or `the film with age and sex`."""
        return _source(self.inputs, film_has_weight=self.film_has_weight)

    @property
    def doubt(self) -> str:
        """Why the answer is no finding; for an answer that does not beat chance."""
        what, area = f"AUROC for {self.question}" if self.also_shown else "AUROC", self.auroc
        figure = f"{what} {area.value:.2f}, {area.low:.2f} to {area.high:.2f}" if area else "its card has no figure"
        if area and area.low > _CHANCE and self.beyond_acquisition:
            beyond = self.beyond_acquisition
            figure += f", but {beyond.value:.2f}, {beyond.low:.2f} to {beyond.high:.2f}, beyond how films were taken"
        return f"this model has not been shown to tell more than chance from {self.source} ({figure})"


class AnswerEvidence(BaseModel):
    """The evidence behind each part of a model's answers."""

    model_config = ConfigDict(frozen=True)

    border: str = Field("", description="label from which on a film counts as ill; empty in answers from before it")
    condition: str = Field("", description="what the labels grade; empty where the card does not say it")
    image: Evidence
    fused: tuple[Evidence, ...] = Field((), description="one for each set of facts that the model can use")

    @property
    def helpful_facts(self) -> tuple[PatientFact, ...]:
        """The first facts with which the answer beats chance, where from the film alone it does not."""
        if self.image.beats_chance:
            return ()
        return next((each.inputs for each in self.fused if each.beats_chance), ())

    @property
    def leading(self) -> str:
        """What the model's answers lead with, and why, for whoever reads about the model and not about a film."""
        best = next((each for each in (self.image, *self.fused) if each.beats_chance), None)
        what = f"the label from {best.source}" if best else "no finding, and name the label as the model's output"
        alone = f" {self.image.sentence}" if best is not self.image else ""
        return f"Answers lead with {what}.{alone}" + (f" {best.sentence}" if best else "")

    def shows(self, subject: str) -> bool:
        """Whether the answers of a card's evaluation, such as `image + age and sex`, are shown to beat chance."""
        return any(each.beats_chance for each in (self.image, *self.fused) if subject_of(each.inputs) == subject)

    def names(self, label: str) -> str:
        """A label with the condition that it grades, where the label alone does not say that."""
        return label if usual(label) in SEVERITY or not self.condition else f"{self.condition}: {label}"

    def of(self, inputs: Sequence[PatientFact]) -> Evidence | None:
        """The evidence for an answer from the film and these facts."""
        return next((each for each in (self.image, *self.fused) if each.inputs == tuple(inputs)), None)


def evidence_of(card: Card) -> AnswerEvidence:
    """What a card says that its model was shown to know; nothing where the card has no figures."""
    fused = (_evidence(card, each.inputs, film_has_weight=each.labels_by_image) for each in card.fusion)
    border = border_of(card.labels, card.border)
    condition = card.condition or (_ILL if usual(border) == _ILL else "")
    return AnswerEvidence(border=border, condition=condition, image=_evidence(card, ()), fused=tuple(fused))


def subject_of(inputs: Sequence[PatientFact]) -> str:
    """Name in a card's evaluations of the answer from the film and these facts."""
    return f"{IMAGE} + {fact_words(inputs)}" if inputs else IMAGE


def border_of(labels: Sequence[str], border: str | None = None) -> str:
    """The label from which on a film counts as ill: the border of a card, or else osteoporosis or the last label."""
    return border or next((label for label in labels if usual(label) == _ILL), labels[-1])


def question_of(labels: Sequence[str], border: str | None = None) -> str:
    """The question that decides, which is asked at the border, in the words of the card's figures."""
    last = len(labels) - 1
    place = labels.index(border_of(labels, border))
    if place == last or last == 1:
        return f"{labels[last]} vs rest"
    # The border above the first label is asked from below; the AUROC is the same.
    return f"{labels[0]} vs rest" if place < 2 else f"{labels[place]} and above vs below"


def _source(inputs: Sequence[PatientFact], *, film_has_weight: bool) -> str:
    if not inputs:
        return "the film alone"
    facts = fact_words(inputs)
    return f"the film with {facts}" if film_has_weight else f"{facts} (the film adds nothing to them)"


def _evidence(card: Card, inputs: tuple[PatientFact, ...], *, film_has_weight: bool = True) -> Evidence:
    question = question_of(card.labels, card.border)
    evaluation = None if card.trial else _evaluation(card, subject_of(inputs))
    areas, baseline = _areas(evaluation), _areas(_evaluation(card, AGE_AND_SEX)).get(question)
    subject = f"From {_source(inputs, film_has_weight=film_has_weight)}"
    if evaluation is None or question not in areas:
        why = "its figures are of films that chose the epoch" if card.trial else "its card has no such figure"
        words = f"{subject}, this model has not been shown to tell more than chance: {why}."
        return Evidence(inputs=inputs, film_has_weight=film_has_weight, question=question, sentence=words)
    area = areas[question]
    beyond = None if inputs else _areas(_evaluation(card, BEYOND_ACQUISITION)).get(question)
    beats_chance = area.low > _CHANCE and (beyond is None or beyond.low > _CHANCE)
    gain = _areas(_difference(card, subject_of(inputs))).get(question)
    beats_both = None if gain is None else beats_chance and gain.low > 0
    also_shown = tuple(name for name, other in areas.items() if name != question and other.low > _CHANCE)
    collection = card.parent.place if card.parent else card.data.name
    figure = f"AUROC {area.value:.2f} ({area.low:.2f} to {area.high:.2f}; guessing is 0.50"
    figure += "" if baseline is None else f"; age and sex alone reach {baseline.value:.2f}"
    figure += f", the difference is {gain.value:+z.2f}, {gain.low:+z.2f} to {gain.high:+z.2f})" if gain else ")"
    if beyond is not None:
        figure += f", and beyond how the films were taken {beyond.value:.2f} ({beyond.low:.2f} to {beyond.high:.2f})"
    where = f"on {evaluation.films} films of {evaluation.groups} groups ({collection})"
    also = f" For {', '.join(also_shown)} it has been shown." if also_shown and not beats_chance else ""
    return Evidence(
        inputs=inputs,
        film_has_weight=film_has_weight,
        question=question,
        auroc=_figure(area),
        films=evaluation.films,
        groups=evaluation.groups,
        collection=collection,
        beyond_acquisition=_figure(beyond),
        age_and_sex=None if baseline is None else baseline.value,
        gain=_figure(gain),
        beats_chance=beats_chance,
        beats_age_and_sex=beats_both,
        also_shown=also_shown,
        sentence=f"{subject}, this model {_verdict(beats_chance, beats_both)}: {figure} for {question}, {where}.{also}",
    )


def _figure(metric: Metric | None) -> Figure | None:
    return Figure(value=metric.value, low=metric.low, high=metric.high) if metric else None


def _verdict(beats_chance: bool, beats_age_and_sex: bool | None) -> str:
    if not beats_chance:
        return "has not been shown to tell more than chance"
    if beats_age_and_sex is None:
        return "tells more than chance"
    if beats_age_and_sex:
        return "tells more than chance, and more than age and sex alone"
    return "tells more than chance, but has not been shown to tell more than age and sex alone"


def _evaluation(card: Card, subject: str) -> Evaluation | None:
    return next((each for each in card.evaluations if each.subject == subject), None)


def _difference(card: Card, subject: str) -> Difference | None:
    pairs = ((each.predictor, each.baseline, each) for each in card.differences)
    return next((each for *names, each in pairs if names == [subject, AGE_AND_SEX]), None)


def _areas(figures: Evaluation | Difference | None) -> dict[str, Metric]:
    """AUROC, or its difference, by question."""
    named = ((question_of_area(metric.name), metric) for metric in (figures.metrics if figures else ()))
    return {question: metric for question, metric in named if question}


def question_of_area(figure: str) -> str:
    """The question of an AUROC over all pairs of films; empty for other figures, and for those within folds."""
    return figure.removeprefix(_AUROC) if figure.startswith(_AUROC) and not figure.startswith(_WITHIN) else ""
