"""What a model was shown to know decides what an answer leads with."""

from pathlib import Path
from typing import Any

import pytest
from support.shown import AGE_AND_SEX, bare_card, evaluation, evidence
from test_schema import ANSWER

from osteolens.card import Card, Difference, load_card
from osteolens.evaluation.metrics import questions
from osteolens.evidence import AnswerEvidence, evidence_of, question_of
from osteolens.labels import LABELS
from osteolens.parameters import Fusion
from osteolens.schema import Answer

WEIGHTS = Path(__file__).parents[1] / "weights"
OSTEOPOROSIS = "osteoporosis vs rest"


def answer(shown: AnswerEvidence | None, **change: Any) -> Answer:
    row = {name: value for name, value in ANSWER.items() if name not in ("evidence", "lead")} | change
    return Answer.model_validate(row | {"evidence": shown and shown.model_dump()})


def of_image(
    low: float,
    high: float,
    value: float,
    *,
    age_and_sex: float | None = None,
    less: tuple[float, float, float] | None = None,
) -> AnswerEvidence:
    """Evidence by an AUROC with its interval, that of age and sex, and the difference with its own."""
    figures = [evaluation("image", {OSTEOPOROSIS: (value, low, high)})]
    if age_and_sex is not None:
        figures.append(evaluation("baseline: age and sex", {OSTEOPOROSIS: (age_and_sex, 0.5, 0.95)}))
    metrics = evaluation("image", {OSTEOPOROSIS: less} if less else {}).metrics
    paired = Difference(predictor="image", baseline="baseline: age and sex", metrics=metrics)
    return evidence_of(bare_card().model_copy(update={"evaluations": tuple(figures), "differences": (paired,)}))


def test_an_interval_that_holds_a_half_shows_nothing() -> None:
    shown = of_image(0.46, 0.63, 0.54, age_and_sex=0.89, less=(-0.35, -0.44, -0.26)).image
    assert (shown.beats_chance, shown.beats_age_and_sex) == (False, False)
    assert shown.auroc is not None
    assert (shown.auroc.value, shown.auroc.low, shown.auroc.high) == (0.54, 0.46, 0.63)
    assert (shown.films, shown.groups, shown.collection, shown.age_and_sex) == (40, 38, "Made-up films", 0.89)
    assert shown.sentence == (
        "From the film alone, this model has not been shown to tell more than chance: AUROC 0.54 (0.46 to 0.63; "
        "guessing is 0.50; age and sex alone reach 0.89, the difference is -0.35, -0.44 to -0.26) for osteoporosis vs "
        "rest, on 40 films of 38 groups (Made-up films)."
    )


@pytest.mark.parametrize(("low", "shown"), [(0.4999, False), (0.5, False), (0.5001, True)])
def test_the_lower_end_must_be_above_a_half(low: float, shown: bool) -> None:
    assert of_image(low, 0.7, 0.6).image.beats_chance is shown


def test_only_a_difference_on_the_same_films_beats_age_and_sex() -> None:
    # The image's own interval holds their 0.80, but on the same resamples it is always better.
    assert of_image(0.79, 0.9, 0.86, age_and_sex=0.8, less=(0.06, 0.01, 0.11)).image.beats_age_and_sex is True
    # Its interval lies above their 0.80, which is uncertain itself.
    assert of_image(0.81, 0.9, 0.86, age_and_sex=0.8, less=(0.06, -0.02, 0.14)).image.beats_age_and_sex is False
    assert of_image(0.81, 0.9, 0.86, age_and_sex=0.8).image.beats_age_and_sex is None  # not measured
    level = of_image(0.7, 0.9, 0.8, age_and_sex=0.8, less=(-0.001, -0.004, 0.002)).image
    assert "the difference is +0.00, +0.00 to +0.00)" in level.sentence  # no zero below zero
    # Age and sex below chance on these films: what does not beat chance beats nothing.
    assert of_image(0.45, 0.9, 0.6, age_and_sex=0.4, less=(0.2, 0.1, 0.3)).image.beats_age_and_sex is False


def test_figures_of_films_that_chose_the_epoch_are_no_evidence() -> None:
    figures = (evaluation("image", {OSTEOPOROSIS: (0.9, 0.8, 0.95)}),)
    card = bare_card().model_copy(update={"evaluations": figures})
    assert evidence_of(card).image.beats_chance
    trial = evidence_of(card.model_copy(update={"trial": True})).image
    assert (trial.beats_chance, trial.auroc, trial.also_shown) == (False, None, ())
    assert trial.sentence == (
        "From the film alone, this model has not been shown to tell more than chance: its figures are of films that "
        "chose the epoch."
    )


@pytest.mark.parametrize(("low", "shown"), [(0.45, False), (0.55, True)])
def test_a_film_has_to_tell_more_than_how_it_was_taken(low: float, shown: bool) -> None:
    figures = [
        evaluation("image", {OSTEOPOROSIS: (0.7, 0.6, 0.8)}),
        evaluation("image beyond acquisition", {OSTEOPOROSIS: (0.6, low, 0.7)}),
    ]
    image = evidence_of(bare_card().model_copy(update={"evaluations": tuple(figures)})).image
    assert image.beats_chance is shown
    assert image.beyond_acquisition is not None
    assert f"beyond how the films were taken 0.60 ({low:.2f} to 0.70)" in image.sentence
    if not shown:
        assert "0.60 to 0.80, but 0.60, 0.45 to 0.70, beyond how films were taken" in image.doubt


def test_an_answer_that_gives_the_film_weight_0_does_not_claim_it() -> None:
    fusion = Fusion(
        inputs=("age", "sex"),
        intercepts=(0.0,) * 3,
        coefficients={"log_probability_normal": (0.0,) * 3, "age": (-0.1, 0.0, 0.1)},
    )
    figures = (evaluation("image + age and sex", {OSTEOPOROSIS: (0.88, 0.81, 0.95)}),)
    (fused,) = evidence_of(bare_card().model_copy(update={"fusion": (fusion,), "evaluations": figures})).fused
    assert not fused.film_has_weight
    assert fused.source == "age and sex (the film adds nothing to them)"
    assert fused.sentence.startswith(
        "From age and sex (the film adds nothing to them), this model tells more than chance"
    )


def test_no_figures_show_nothing() -> None:
    shown = evidence_of(bare_card(AGE_AND_SEX))
    assert [each.beats_chance for each in (shown.image, *shown.fused)] == [False, False]
    assert shown.image.auroc is None
    lead = answer(shown).lead
    assert lead.text == (
        "no finding: this model has not been shown to tell more than chance from the film with age and sex (its card "
        "has no figure)"
    )


@pytest.mark.parametrize(
    "labels",
    [
        LABELS, ("normal", "osteoporosis"), ("osteoporosis", "severe osteoporosis"), ("0", "1", "2", "3", "4"),
        ("osteopenia", "osteoporosis", "severe osteoporosis"), (*LABELS, "severe osteoporosis"),
        ("Normal", "Osteoporosis"), ("a", "b", "c"),
    ],
)  # fmt: skip
def test_the_question_is_one_that_cards_answer(labels: tuple[str, ...]) -> None:
    names = [question.name for question in questions(labels)]
    assert question_of(labels) in names
    assert [question_of(labels, border) for border in labels[1:]] == names


def test_a_card_says_at_which_label_its_question_is_asked() -> None:
    """Grades of osteoarthritis: from 2 on a knee counts as ill, and what was shown of grade 4 alone does not count."""
    grades = bare_card(labels=("0", "1", "2", "3", "4"))
    figures = evaluation("image", {"2 and above vs below": (0.6, 0.45, 0.7), "4 vs rest": (0.9, 0.8, 0.95)})
    last, bordered = (
        evidence_of(grades.model_copy(update={"evaluations": (figures,), "border": border})) for border in (None, "2")
    )
    assert (last.image.question, last.image.beats_chance, last.border) == ("4 vs rest", True, "4")
    assert (bordered.image.question, bordered.image.beats_chance) == ("2 and above vs below", False)
    assert (bordered.border, bordered.image.also_shown) == ("2", ("4 vs rest",))
    assert bordered.leading.startswith("Answers lead with no finding, and name the label as the model's output.")
    assert last.leading == f"Answers lead with the label from the film alone. {last.image.sentence}"
    with pytest.raises(ValueError, match=r"border: '0' is not one of 1, 2, 3, 4"):
        Card.model_validate(grades.model_dump() | {"border": "0"})


def test_what_a_model_leads_with_is_said_with_both_figures_where_facts_are_needed() -> None:
    shown = evidence(0.46, fused=0.8)
    assert shown.leading == (
        f"Answers lead with the label from the film with age and sex. {shown.image.sentence} {shown.fused[0].sentence}"
    )
    assert [shown.shows(name) for name in ("image", "image + age and sex", "baseline: majority")] == [
        False, True, False,
    ]  # fmt: skip


def test_the_control_is_asked_at_grade_2() -> None:
    card = load_card(WEIGHTS / "knee_oa", check_weights=False)
    image = evidence_of(card).image
    assert (card.border, image.question, image.beats_chance) == ("2", "2 and above vs below", True)
    assert image.auroc is not None
    assert round(image.auroc.value, 3) == 0.916


def test_a_label_that_does_not_say_what_it_grades_leads_with_it() -> None:
    card = load_card(WEIGHTS / "knee_oa", check_weights=False)
    shown = evidence_of(card).model_copy(update={"border": "osteopenia"})
    assert (shown.condition, shown.names("2"), shown.names("osteoporosis")) == (
        "osteoarthritis", "osteoarthritis: 2", "osteoporosis",
    )  # fmt: skip
    lead = answer(shown, label="2", probabilities={"1": 0.4, "2": 0.6}, fused=None).lead
    assert (lead.headline, lead.label) == ("osteoarthritis: 2", "2")
    assert lead.text == "osteoarthritis: 2 from the film alone"


def test_a_card_without_a_condition_is_of_osteoporosis_where_that_is_a_label() -> None:
    assert evidence_of(bare_card()).condition == "osteoporosis"
    named = evidence_of(bare_card(labels=("a", "b")))
    assert (named.condition, named.names("b")) == ("", "b")


def test_a_model_shown_for_another_question_alone_says_for_which() -> None:
    figures = evaluation("image", {OSTEOPOROSIS: (0.55, 0.45, 0.7), "normal vs rest": (0.8, 0.7, 0.9)})
    shown = evidence_of(bare_card().model_copy(update={"evaluations": (figures,)}))
    assert shown.image.also_shown == ("normal vs rest",)
    assert shown.image.sentence.endswith("For normal vs rest it has been shown.")
    assert answer(shown, fused=None).lead.text.endswith("(AUROC for osteoporosis vs rest 0.55, 0.45 to 0.70)")


def test_the_film_alone_leads_where_it_is_shown_to_know() -> None:
    lead = answer(evidence(0.7, fused=0.8)).lead
    assert (lead.part, lead.headline, lead.text) == ("image", "osteopenia", "osteopenia from the film alone")
    assert (lead.label, lead.probability, lead.triage) == ("osteopenia", 0.6, "uncertain")
    assert lead.t_score is not None
    assert lead.t_score.estimate == -1.8


def test_the_fused_answer_leads_where_only_it_is_shown_to_know() -> None:
    lead = answer(evidence(0.46, fused=0.8)).lead
    assert (lead.part, lead.text) == ("fused", "osteoporosis from the film with age and sex")
    assert lead.headline == "osteoporosis with age and sex"
    assert (lead.probability, lead.triage) == (0.75, "refer")
    assert lead.t_score is not None
    assert lead.t_score.estimate == -2.6
    assert "From the film with age and sex, this model tells more than chance" in lead.sentence


def test_nothing_leads_where_neither_is_shown_to_know() -> None:
    lead = answer(evidence(0.46, fused=0.49)).lead
    assert (lead.part, lead.headline, lead.label, lead.probability) == ("none", "no finding", None, None)
    assert (lead.t_score, lead.triage, lead.helpful_facts) == (None, None, ())


def test_facts_that_would_help_are_named() -> None:
    lead = answer(evidence(0.46, fused=0.8), fused=None).lead
    assert lead.text == (
        "no finding: this model has not been shown to tell more than chance from the film alone "
        "(AUROC 0.56, 0.46 to 0.66)"
    )
    assert lead.helpful_facts == ("age", "sex")


def test_a_fused_answer_of_other_facts_than_the_evidence_does_not_lead() -> None:
    fused = dict(ANSWER["fused"]) | {"inputs": ["age", "sex", "weight_kg", "height_m"]}
    assert answer(evidence(0.46, fused=0.8), fused=fused).lead.part == "none"


def test_a_refused_picture_that_is_answered_on_request_leads_with_nothing() -> None:
    reasons = [{"code": "not_a_radiograph", "message": "the picture has colours"}]
    quality = dict(ANSWER["quality"]) | {"accepted": False, "reasons": reasons}
    lead = answer(evidence(0.7), quality=quality).lead
    assert (lead.part, lead.text) == ("none", "no finding: the picture has colours")


def test_an_answer_without_evidence_leads_with_nothing() -> None:
    lead = answer(None).lead
    assert (lead.part, lead.headline) == ("none", "no finding")
    assert lead.sentence == "This answer came without evidence of what its model knows."


def test_the_shipped_cards_say_what_their_pages_say() -> None:
    shown = {name: evidence_of(load_card(WEIGHTS / name)) for name in ("efficientnet", "knee", "yolov5", "knee_oa")}
    assert {name: each.image.beats_chance for name, each in shown.items()} == {
        "efficientnet": False, "knee": False, "yolov5": False, "knee_oa": True,
    }  # fmt: skip
    fused = [(each.beats_chance, each.beats_age_and_sex) for part in shown.values() for each in part.fused]
    assert fused == [(True, False)] * 6
    assert answer(shown["efficientnet"], fused=None).lead.text == (
        "no finding: this model has not been shown to tell more than chance from the film alone "
        "(AUROC 0.54, 0.46 to 0.63)"
    )
