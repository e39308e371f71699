"""Numbers fitted again at a place: no film's answer rests on itself, and the new card names its parent."""

from dataclasses import replace

import numpy as np
import pytest
from support.shown import evidence
from support.simulated import simulate

from osteolens.card import Card, PreprocessSpec, Quantisation, TrainingData
from osteolens.errors import DataError
from osteolens.evaluation.answers import Answers
from osteolens.evaluation.evidence import Parameters
from osteolens.evaluation.predictions import Split
from osteolens.evaluation.predictors import answer_as_served
from osteolens.evaluation.recalibration import next_version, recalibrate, recalibrated_card, refuse_few
from osteolens.labels import LABELS
from osteolens.parameters import TScoreInterval

SERVED = Parameters(t_score_interval=TScoreInterval(half_width=0.2))


def answers_of(table) -> Answers:
    table = replace(table, split=Split("test", training=()))
    return Answers("knee", "1.0", "a" * 64, table, answer_as_served(table, SERVED, "as served"), SERVED, evidence(0.7))


@pytest.fixture(scope="module")
def answers() -> Answers:
    """A model that is three times too sure, and whose T-score intervals are too narrow."""
    return answers_of(simulate(150, repeats=1, folds=1, image=2))


@pytest.fixture(scope="module")
def recalibration(answers):
    return recalibrate(answers, resamples=200)


def card(**values) -> Card:
    data = TrainingData(name="elsewhere", split="", films={}, groups={})
    spec = PreprocessSpec()
    facts = {"architecture": "a", "labels": LABELS, "has_t_score": True, "preprocess": spec, "weights_sha256": "0" * 64}
    return Card(name="knee", data=data, **(facts | values))


def test_what_was_wrong_is_right_afterwards(recalibration):
    sides = {"before": recalibration.comparison.theirs[0], "after": recalibration.comparison.ours[0]}
    figures = {side: {m.name: m for m in each.metrics} for side, each in sides.items()}
    slope = "calibration slope osteoporosis vs rest"
    assert figures["before"][slope].value < 0.45  # logits were multiplied by three
    assert 0.65 < figures["after"][slope].value < 1.1
    (pair,) = (each for each in recalibration.comparison.differences if each.predictor == "image, knee 1.1")
    changed = {metric.name: metric for metric in pair.metrics}
    assert changed[slope].low > 0
    assert changed["ECE"].high < 0
    assert changed["Brier score"].high < 0
    covered = [evidence.coverage[0].covered.value for evidence in (recalibration.before, recalibration.after)]
    assert covered[0] < 0.3
    assert covered[1] == pytest.approx(0.9, abs=0.06)
    assert sides["after"].subject == "image, knee 1.1"
    assert sides["before"].subject == "image, knee 1.0"


def test_no_answer_rests_on_its_own_film(answers, recalibration):
    films = list(answers.predictions.films)
    worse = {"normal": "osteoporosis", "osteopenia": "normal", "osteoporosis": "normal"}
    films[7] = replace(films[7], label=worse[films[7].label], t_score=films[7].t_score - 3)
    changed = recalibrate(answers_of(replace(answers.predictions, films=films)), resamples=20)
    first, second = (each.after.predictors[0].probabilities[0] for each in (recalibration, changed))
    np.testing.assert_array_equal(first[7], second[7])
    assert (first != second).any()


def test_facts_are_fused_again_and_thresholds_set_where_films_are_enough(recalibration):
    parameters = recalibration.after.parameters
    assert [fusion.inputs for fusion in parameters.fusion] == [("age", "sex"), ("age", "sex", "weight_kg", "height_m")]
    assert parameters.operating_points is not None
    assert (parameters.fitted_on.part, parameters.fitted_on.films) == ("site", 150)
    assert parameters.fitted_on.left_out == {}


def test_what_the_films_do_not_have_is_left_out_with_its_reason():
    found = recalibrate(answers_of(simulate(90, repeats=1, folds=1, facts=False, t_score=False)), resamples=20)
    left_out = found.after.parameters.fitted_on.left_out
    assert left_out["fusion by age and sex"].startswith("known of 0 films")
    assert found.after.parameters.t_score_interval is None


def test_the_new_card_names_its_parent_and_drops_what_rests_on_the_old_calibration(recalibration):
    quantised = Quantisation(
        accepted=True, protocol="", films=1, auroc={}, auroc_fp32={}, label_disagreement=0,
        uncalibrated_label_disagreement=0, triage_disagreement=0, largest_difference=0, mean_difference=0,
        largest_uncalibrated_difference=0, map_cosine=1,
    )  # fmt: skip
    parent = card(quantisation=(quantised,), map_peaks={"normal": 2.0})
    new = recalibrated_card(parent, recalibration, name="knee_here", place="Springfield")
    assert (new.name, new.version, new.weights_sha256) == ("knee_here", "1.1", parent.weights_sha256)
    assert (new.parent.name, new.parent.version, new.parent.card_sha256) == ("knee", "1.0", parent.sha256)
    assert new.parent.place == "Springfield"
    assert new.quantisation == ()
    assert new.map_peaks == parent.map_peaks
    assert new.calibration == recalibration.after.parameters.calibration
    assert new.evaluations == recalibration.after.evaluations
    assert "parent" not in parent.model_dump(mode="json")  # earlier cards keep their hash


@pytest.mark.parametrize(("version", "following"), [("1.0", "1.1"), ("1", "1.1"), ("1.0.3", "1.0.4"), ("2.9", "2.10")])
def test_versions_follow_each_other(version, following):
    assert next_version(version) == following


def test_too_few_films_are_refused():
    with pytest.raises(DataError, match="49 groups are too few to recalibrate on, at least 50 are needed"):
        refuse_few(answers_of(simulate(49, repeats=1, folds=1)))
    table = simulate(60, repeats=1, folds=1)
    films = [replace(film, label="osteopenia" if index > 8 else "normal") for index, film in enumerate(table.films)]
    with pytest.raises(DataError, match="9 groups have the label normal, at least 10 of each label are needed"):
        refuse_few(answers_of(replace(table, films=films)))
