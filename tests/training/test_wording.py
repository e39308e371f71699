from dataclasses import replace

import pytest

from osteolens.card import Metric
from osteolens.training.evaluate import evaluate
from osteolens.training.evidence import Difference, Evidence
from osteolens.training.wording import key_figures, percent, signed, slug, tone_of_difference, verdicts, with_interval

from .simulated import simulate
from .test_map_checks import found as found  # noqa: PLC0414 - a fixture


def metric(name: str, low: float, high: float) -> Metric:
    return Metric(name=name, value=(low + high) / 2, low=low, high=high)


def answers(evidence: Evidence) -> dict[str, str]:
    return {verdict.question: verdict.answer for verdict in verdicts(evidence, None)}


@pytest.fixture(scope="module")
def strong() -> Evidence:
    return evaluate(simulate(image=3.0, age=0.2), resamples=200)


@pytest.fixture(scope="module")
def weak() -> Evidence:
    return evaluate(simulate(image=0.0, age=2.0), resamples=200)


def test_an_image_that_tells_the_label_is_said_to(strong: Evidence) -> None:
    said = answers(strong)
    assert said["Does the image tell more than chance?"] == "Yes"
    assert said["Is its T-score better than always naming the mean?"] == "Yes"
    assert said["Is the image alone better than age and sex?"] == "Yes"
    assert said["Does the image add to age and sex?"] == "Yes"


def test_an_image_that_tells_nothing_is_not_praised(weak: Evidence) -> None:
    said = answers(weak)
    assert said["Does the image tell more than chance?"] == "Not shown"
    assert said["Is the image alone better than age and sex?"] == "No, worse"
    assert said["Does the image add to age and sex?"] in ("Not shown", "No, worse")


def test_what_was_not_measured_is_not_judged() -> None:
    evidence = evaluate(simulate(facts=False, t_score=False), resamples=50)
    assert list(answers(evidence)) == ["Does the image tell more than chance?", "Is it calibrated?"]


@pytest.mark.parametrize(("value", "answer"), [(0.05, "Yes"), (0.06, "No"), (0.2, "No")])
def test_calibration_is_judged_by_the_stated_limit(strong: Evidence, value: float, answer: str) -> None:
    image = strong.evaluations[0]
    others = tuple(one for one in image.metrics if one.name != "ECE")
    changed = image.model_copy(update={"metrics": (*others, metric("ECE", value - 0.01, value + 0.01))})
    evidence = replace(
        strong, evaluations=(changed, *strong.evaluations[1:]), ece_by_chance=strong.ece_by_chance | {"image": 0.01}
    )
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


def test_maps_are_praised_only_if_every_check_speaks_for_them(strong: Evidence, found) -> None:
    def answer(checks) -> str:
        return verdicts(strong, checks)[-1].answer

    fallen = found.model_copy(update={"cascade": (metric("stem", -0.1, 0.1),)})
    assert answer(fallen) == "Yes"
    assert answer(fallen.model_copy(update={"cascade": (metric("stem", 0.8, 0.9),)})) == "In part"
    against = tuple(metric(one.name, -0.1, 0.1) for one in found.differences)
    assert answer(fallen.model_copy(update={"differences": against})) == "In part"


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
    one = metric("m", 0.25, 0.75)
    assert with_interval(one) == "0.50 (0.25 to 0.75)"
    assert signed(one) == "+0.500 (+0.250 to +0.750)"
    assert percent(one) == "50 % (25 % to 75 %)"
    assert slug("AUROC 2 and above vs below") == "auroc_2_and_above_vs_below"
    assert key_figures(["accuracy", "ECE", "AUROC b"]) == ["AUROC b", "ECE"]
