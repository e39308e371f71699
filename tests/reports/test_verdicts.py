from dataclasses import replace

import pytest
from support.map_examples import map_checks, metric
from support.simulated import simulate

from osteolens.card import BEYOND_ACQUISITION as BEYOND
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.evidence import Difference, Evidence
from osteolens.evaluation.predictors import ACQUISITION
from osteolens.inference.calibration import calibrate
from osteolens.reports.figures import find, key_figures, percent, signed, slug, tone_of_difference, with_interval
from osteolens.reports.verdicts import verdicts


def answers(evidence: Evidence) -> dict[str, str]:
    return {verdict.question: verdict.answer for verdict in verdicts(evidence, None)}


@pytest.fixture(scope="module")
def strong() -> Evidence:
    return evaluate(simulate(repeats=1, image=1.5, age=0.1), resamples=200)


@pytest.fixture(scope="module")
def weak() -> Evidence:
    return evaluate(simulate(repeats=1, image=0.0, age=2.0), resamples=200)


def test_an_image_that_tells_the_label_is_said_to(strong: Evidence) -> None:
    by_question = answers(strong)
    assert by_question["Does the image tell more than chance?"] == "Yes"
    assert by_question["Is the image alone better than age and sex?"] == "Yes"
    assert by_question["Does the image add to age and sex?"] == "Yes"


def test_an_image_that_tells_nothing_is_not_praised(weak: Evidence) -> None:
    by_question = answers(weak)
    assert by_question["Does the image tell more than chance?"] == "Not shown"
    assert by_question["Is the image alone better than age and sex?"] == "No, worse"
    assert by_question["Does the image add to age and sex?"] in ("Not shown", "No, worse")


def test_an_image_is_credited_with_what_it_has_beyond_acquisition(strong: Evidence) -> None:
    question = "Does the image tell more than how the film was taken?"
    assert question not in answers(strong)
    image, *others = strong.evaluations
    for low, answer in ((0.45, "Not shown"), (0.55, "Yes")):
        areas = tuple(metric(f"AUROC {name} vs rest", low, 0.8) for name in ("normal", "osteoporosis"))
        extra = [image.model_copy(update={"subject": subject, "metrics": areas}) for subject in (BEYOND, ACQUISITION)]
        assert answers(replace(strong, evaluations=(image, *others, *extra)))[question] == answer


def test_no_gain_is_said_with_the_number_of_films(weak: Evidence) -> None:
    (verdict,) = [each for each in verdicts(weak, None) if each.question == "Does the image add to age and sex?"]
    assert verdict.answer == "Not shown"
    assert "No gain is shown." in verdict.reason
    assert "90 films could hardly show a small one" in verdict.reason


def test_calibration_and_maps_of_useless_answers_are_not_praised(weak: Evidence) -> None:
    by_question = {verdict.question: verdict for verdict in verdicts(weak, map_checks())}
    maps = by_question["Do the heat maps show what the answer rests on?"]
    assert (maps.answer, maps.tone) == ("Yes, of empty answers", "mixed")
    good = with_image_figure(weak, "ECE", 0.01, 0.03)
    (calibrated,) = [verdict for verdict in verdicts(good, None) if verdict.question == "Is it calibrated?"]
    assert (calibrated.answer, calibrated.tone) == ("Yes, but empty", "mixed")


def test_what_was_not_measured_is_not_judged() -> None:
    evidence = evaluate(simulate(facts=False, t_score=False), resamples=50)
    assert list(answers(evidence)) == ["Does the image tell more than chance?", "Is it calibrated?"]


def with_image_figure(evidence: Evidence, name: str, low: float, high: float) -> Evidence:
    """The same, but for one figure of the image."""
    image, *others = evidence.evaluations
    metrics = (*(other for other in image.metrics if other.name != name), metric(name, low, high))
    return replace(evidence, evaluations=(image.model_copy(update={"metrics": metrics}), *others))


@pytest.mark.parametrize(
    ("low", "high", "answer"), [(-0.2, -0.1, "Yes"), (-0.2, 0.1, "Not shown"), (0.1, 0.2, "No, worse")]
)
def test_t_scores_are_compared_with_the_mean(strong: Evidence, low: float, high: float, answer: str) -> None:
    constant = find(strong.evaluations, "baseline: majority", "T-score MAE")
    assert constant is not None
    evidence = with_image_figure(strong, "T-score MAE", constant.value + low, constant.value + high)
    assert answers(evidence)["Is its T-score better than always naming the mean?"] == answer


@pytest.mark.parametrize(("value", "answer"), [(0.05, "Yes"), (0.06, "No"), (0.2, "No")])
def test_calibration_is_judged_by_the_stated_limit(strong: Evidence, value: float, answer: str) -> None:
    evidence = with_image_figure(strong, "ECE", value - 0.01, value + 0.01)
    evidence = replace(evidence, ece_by_chance=strong.ece_by_chance | {"image": 0.01})
    assert answers(evidence)["Is it calibrated?"] == answer


@pytest.mark.parametrize(
    ("areas", "error", "answer"),
    [
        ((0.01, 0.05), (-0.1, -0.02), "Yes"),
        ((0.01, 0.05), (-0.1, 0.02), "In part"),
        ((-0.01, 0.05), (-0.1, 0.02), "Not shown"),
        ((-0.05, -0.01), (-0.1, 0.02), "No, worse"),
        ((-0.05, -0.01), (-0.1, -0.02), "In part"),
    ],
)
def test_a_gain_needs_intervals_beside_zero(
    strong: Evidence, areas: tuple[float, float], error: tuple[float, float], answer: str
) -> None:
    metrics = (metric("AUROC normal vs rest", *areas), metric("T-score MAE", *error))
    difference = Difference(predictor="image + age and sex", baseline="baseline: age and sex", metrics=metrics)
    evidence = replace(strong, differences=(difference,))
    assert answers(evidence)["Does the image add to age and sex?"] == answer


def test_maps_are_praised_only_if_every_check_speaks_for_them(strong: Evidence) -> None:
    checks = map_checks()

    def answer(**changes: object) -> str:
        return verdicts(strong, checks.model_copy(update=changes))[-1].answer

    assert answer() == "Yes"
    assert answer(cascade=(metric("stem", 0.8, 0.9),)) == "In part"
    nothing = tuple(metric(difference.name, -0.1, 0.1) for difference in checks.differences)
    assert answer(differences=nothing) == "In part"
    assert answer(differences=nothing, cascade=(metric("stem", 0.8, 0.9),)) == "Not shown"


def test_maps_of_another_label_than_the_answered_one_are_not_judged(strong: Evidence) -> None:
    verdict = verdicts(strong, map_checks().model_copy(update={"served": False}))[-1]
    assert (verdict.question, verdict.answer) == ("Do the heat maps show what the answer rests on?", "Not measured")
    logits = strong.predictions.logits[0]
    answered = calibrate(logits, strong.parameters.calibration).argmax(axis=1)
    other = round(100 * float((answered != logits.argmax(axis=1)).mean()))
    assert other > 0
    assert f"For {other} % of the films the answer after calibration is another" in verdict.reason


@pytest.mark.parametrize(
    ("name", "low", "high", "tone"),
    [
        ("AUROC normal vs rest", 0.1, 0.2, "good"),
        ("AUROC normal vs rest", -0.2, -0.1, "bad"),
        ("AUROC normal vs rest", -0.1, 0.2, "mixed"),
        ("T-score MAE", 0.1, 0.2, "bad"),
        ("Brier score", -0.2, -0.1, "good"),
        ("T-score bias", 0.1, 0.2, "mixed"),
    ],
)
def test_lower_is_better_where_it_is(name: str, low: float, high: float, tone: str) -> None:
    assert tone_of_difference(metric(name, low, high)) == tone


def test_figures_as_text() -> None:
    difference = metric("m", 0.25, 0.75)
    assert with_interval(difference) == "0.50 (0.25 to 0.75)"
    assert signed(difference) == "+0.500 (+0.250 to +0.750)"
    assert percent(difference) == "50 % (25 % to 75 %)"
    assert slug("AUROC 2 and above vs below") == "auroc_2_and_above_vs_below"
    assert key_figures(["accuracy", "ECE", "AUROC b"]) == ["AUROC b", "ECE"]
