"""A finished model on films of another place: figures against scikit-learn, and pairs, plans and refusals by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.shown import evidence
from support.simulated import simulate, with_films

from osteolens.card import Evaluation, Metric
from osteolens.errors import DataError
from osteolens.evaluation.answers import Answers, refuse_labels
from osteolens.evaluation.evidence import Parameters
from osteolens.evaluation.external import compare, validate
from osteolens.evaluation.predictions import Split
from osteolens.evaluation.predictors import answer_as_served
from osteolens.evaluation.sample_size import films_needed
from osteolens.labels import LABELS
from osteolens.parameters import TScoreInterval

INTERVAL = Parameters(t_score_interval=TScoreInterval(half_width=1.0))


def answers(name="knee", films=60, image=1.5, seed=0, parameters=INTERVAL, **values) -> Answers:
    table = replace(simulate(films, repeats=1, folds=1, image=image, seed=seed), split=Split("test", training=()))
    table = with_films(table, **values) if values else table
    return Answers(
        name, "1.0", "0" * 64, table, answer_as_served(table, parameters, "as served"), parameters, evidence(0.7)
    )


def named(evaluation: Evaluation) -> dict[str, Metric]:
    return {metric.name: metric for metric in evaluation.metrics}


@pytest.fixture(scope="module")
def validation():
    return validate(answers(source=["north", "south"] * 30), resamples=200)


def test_figures_are_those_of_the_answers_as_served(validation):
    table, (image,) = validation.answers.predictions, validation.answers.predictors
    figures = named(validation.evidence.evaluations[0])
    ill = table.truth == 2
    assert figures["AUROC osteoporosis vs rest"].value == pytest.approx(
        roc_auc_score(ill, image.probabilities[0, :, 2])
    )
    error = table.t_score[0] - table.measured
    assert figures["T-score bias"].value == pytest.approx(error.mean())
    assert figures["T-score upper limit of agreement"].value == pytest.approx(error.mean() + 1.96 * error.std(ddof=1))
    (coverage,) = validation.evidence.coverage
    assert coverage.covered.value == pytest.approx((np.abs(error) <= 1).mean())
    assert "held-out groups, which chose nothing" in validation.evidence.evaluations[0].protocol


def test_the_page_of_a_run_has_its_parts_here_too(validation):
    evidence = validation.evidence
    assert {part.value for part in evidence.per_source} == {"north", "south"}
    assert {part.kind for part in evidence.subgroups} >= {"sex", "family"}
    assert "baseline: age and sex" in {each.subject for each in evidence.evaluations}
    assert evidence.differences[0].predictor == "image"
    assert [each.subject for each in validation.calibration] == ["image"]
    assert named(validation.calibration[0])["calibration slope osteoporosis vs rest"].high < 1  # three times too sure
    ill = int((validation.answers.predictions.truth == 2).sum())
    assert validation.events == {"osteoporosis": ill, "no osteoporosis": 60 - ill}


def test_intervals_are_by_group():
    """Twice the same films under the same groups say nothing new; as groups of their own they would."""
    once = answers()
    twice = once.among(np.ones(60, dtype=bool))
    table = once.predictions
    doubled = {name: np.concatenate([getattr(table, name)] * 2, axis=1) for name in ("fold", "logits", "t_score")}
    table = replace(table, films=[*table.films, *table.films], **doubled)
    twice = replace(twice, predictions=table, predictors=answer_as_served(table, INTERVAL, "as served"))
    metrics = [
        named(validate(each, resamples=200).evidence.evaluations[0])["AUROC osteoporosis vs rest"]
        for each in (once, twice)
    ]
    assert metrics[1].low == pytest.approx(metrics[0].low)
    assert metrics[1].high == pytest.approx(metrics[0].high)


def test_films_needed_grow_with_the_square_of_the_width():
    metric = Metric(name="AUROC osteoporosis vs rest", value=0.7, low=0.6, high=0.8)
    sure = Metric(name="sensitivity normal", value=1, low=1, high=1)
    other = Metric(name="ECE", value=0.1, low=0.0, high=0.2)
    figures = Evaluation(subject="image", protocol="", films=120, groups=60, metrics=(metric, sure, other))
    (first, second) = films_needed([figures], 0.05)
    assert (first.films, first.groups) == (480, 240)  # half of the width takes four times as many
    assert (second.films, second.groups) == (None, None)
    assert films_needed([figures], 0.1)[0].films == 120


def test_a_model_against_itself_is_no_different_and_against_noise_better():
    ours, noise = answers(films=90, image=2), answers("noise", films=90, image=0)
    noise = replace(noise, predictions=replace(noise.predictions, films=ours.predictions.films))
    same = compare(ours, replace(ours, card_sha256="1" * 64), resamples=100)
    assert all(metric.value == metric.low == metric.high == 0 for metric in same.differences[0].metrics)
    assert same.name == "knee 1.0 (11111111)"
    found = compare(ours, noise, resamples=300)
    (pair,) = found.differences
    assert (pair.predictor, pair.baseline) == ("image, knee 1.0", "noise 1.0")
    area = {metric.name: metric for metric in pair.metrics}["AUROC osteoporosis vs rest"]
    ill = ours.predictions.truth == 2
    expected = [roc_auc_score(ill, each.predictors[0].probabilities[0, :, 2]) for each in (ours, noise)]
    assert area.value == pytest.approx(expected[0] - expected[1])
    assert area.low > 0
    assert found.ours[0].films == found.theirs[0].films == 90


def test_only_films_that_both_answered_are_compared():
    ours = answers(films=60)
    chosen = np.arange(60) % 6 != 0
    found = compare(ours, replace(ours.among(chosen), name="other"), resamples=50)
    assert found.films == 50
    assert all(metric.value == 0 for metric in found.differences[0].metrics)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": ["g"] * 60}, "1 groups are too few to evaluate on, at least 10"),
        ({"label": ["normal"] * 60}, "all films have the label normal"),
        ({"label": ["osteoporosis"] + ["normal"] * 59}, "but for one fifth of the groups"),
    ],
)
def test_films_that_tell_nothing_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        validate(answers(**change), resamples=50)


def test_models_with_other_labels_are_not_compared():
    ours = answers()
    other = replace(ours, predictions=replace(ours.predictions, labels=("a", "b", "c")))
    with pytest.raises(DataError, match="they cannot be compared"):
        compare(ours, other)
    with pytest.raises(DataError, match="the films have the label 'sick', knee knows normal, osteopenia, osteoporosis"):
        refuse_labels([replace(ours.predictions.films[0], label="sick")], LABELS, "knee")


def test_everything_is_dumped_as_json_values(validation):
    dumped = json.loads(json.dumps(validation.dump(), allow_nan=False))
    assert dumped["films"] == 60
    assert math.isclose(dumped["wanted_half_width"], 0.05)
    assert dumped["comparison"] is None
    assert {"films_needed", "calibration_at_this_place", "per_source"} <= dumped.keys()
