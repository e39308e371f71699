from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.simulated import simulate, with_films

from osteolens.evaluation import fusion
from osteolens.evaluation.calibration import Rows, fit_calibration, fit_interval, fit_operating_points, log_loss
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.fusion import fit_fusion, fit_parameters, usable_facts
from osteolens.inference.calibration import calibrate, read_fused, triage
from osteolens.labels import LABELS

AGE_SEX, ALL = ("age", "sex"), ("age", "sex", "weight_kg", "height_m")


def rows_of(predictions):
    return Rows(predictions, np.ones(predictions.fold.shape, bool))


def answers(rows, fitted, calibration):
    probabilities = calibrate(rows.logits, calibration)
    return read_fused(rows.labels, probabilities, rows.t_score, rows.facts, fitted)


def test_a_fusion_answers_as_the_regressions_it_was_made_from():
    rows = rows_of(simulate(repeats=1))
    calibration = fit_calibration("temperature", rows)
    reading = answers(rows, fit_fusion(rows, ALL, calibration), calibration)

    image = np.log(calibrate(rows.logits, calibration))
    facts = np.stack([rows.facts[name] for name in ALL], axis=1)
    table = np.concatenate([image, rows.t_score[:, None], facts], axis=1)
    labels = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(table, rows.truth)
    line = make_pipeline(StandardScaler(), Ridge()).fit(table, rows.measured)
    assert reading.probabilities == pytest.approx(labels.predict_proba(table), abs=1e-6)
    assert reading.t_score == pytest.approx(line.predict(table), abs=1e-6)


def test_repeats_of_the_same_answers_change_nothing():
    once = simulate(repeats=1)
    twice = replace(once, **{name: np.tile(getattr(once, name), (2, *[1] * (getattr(once, name).ndim - 1)))
                             for name in ("fold", "logits", "t_score")})  # fmt: skip
    first, second = (fit_fusion(rows_of(table), AGE_SEX, None) for table in (once, twice))
    for name, values in first.coefficients.items():
        assert second.coefficients[name] == pytest.approx(values, abs=1e-4)
    assert second.t_score.coefficients == pytest.approx(first.t_score.coefficients, abs=1e-6)


def test_films_with_unknown_facts_are_left_out_of_the_fit():
    predictions = simulate(repeats=1)
    unknown = with_films(predictions, age=[np.nan if k < 30 else film.age for k, film in enumerate(predictions.films)])
    chosen = np.arange(90)[None] >= 30
    expected = fit_fusion(Rows(predictions, chosen), AGE_SEX, None)
    assert fit_fusion(rows_of(unknown), AGE_SEX, None) == expected


def test_facts_are_used_when_thirty_films_of_both_sexes_have_them():
    predictions = simulate(films=60)
    assert usable_facts(rows_of(predictions)) == (AGE_SEX, ALL)
    ages, weights = ([getattr(film, name) for film in predictions.films] for name in ("age", "weight_kg"))
    few = with_films(predictions, weight_kg=[np.nan] * 31 + weights[31:])
    assert usable_facts(rows_of(few)) == (AGE_SEX,)
    one_source = with_films(predictions, age=[age * {0: 1, 1: np.nan}[k % 2] for k, age in enumerate(ages)])
    by_source = replace(one_source, fold=np.tile(np.arange(60) % 2, (2, 1)))
    assert (usable_facts(rows_of(one_source)), usable_facts(rows_of(by_source))) == ((AGE_SEX, ALL), ())
    enough = with_films(predictions, age=[np.nan] * 30 + ages[30:])
    assert usable_facts(rows_of(enough)) == (AGE_SEX, ALL)
    for sexes in (["female"] * 60, ["f", "m"] * 30):
        assert usable_facts(rows_of(with_films(predictions, sex=sexes))) == ()


def test_without_t_scores_of_the_image_the_rest_is_fused():
    predictions = simulate(repeats=1)
    blind = replace(predictions, t_score=np.full_like(predictions.t_score, np.nan))
    fitted = fit_fusion(rows_of(blind), AGE_SEX, None)
    assert "t_score" not in fitted.coefficients
    assert set(fitted.t_score.coefficients) == set(fitted.coefficients)
    unmeasured = simulate(repeats=1, t_score=False)
    assert fit_fusion(rows_of(unmeasured), AGE_SEX, None).t_score is None


@pytest.mark.parametrize("labels", [("normal", "osteoporosis"), ("osteopenia", "osteoporosis")])
def test_two_labels_and_a_label_that_no_film_had(labels):
    predictions = simulate(repeats=1)
    rows = rows_of(predictions)
    rows = rows.among(np.isin(rows.truth, [LABELS.index(label) for label in labels]))
    reading = answers(rows, fit_fusion(rows, AGE_SEX, None), None)
    missing = next(index for index, label in enumerate(LABELS) if label not in labels)
    assert reading.probabilities[:, missing].max() < 1e-3
    assert (reading.probabilities.argmax(axis=1) == rows.truth).mean() > 0.8


def test_the_method_with_the_lower_cross_fitted_log_loss_is_chosen():
    rows = rows_of(simulate(films=300))
    parameters, choice = fit_parameters(rows, ())
    losses = {candidate.method: candidate.log_loss for candidate in choice.candidates}
    assert list(losses) == ["none", "temperature", "vector"]
    assert choice.method == "vector"  # osteopenia comes with too low a logit, which a temperature cannot correct
    assert losses["vector"] < losses["temperature"] < losses["none"]
    assert parameters.calibration == fit_calibration("vector", rows)

    by_hand = []
    for fitted, scored in rows.turns():
        calibration = fit_calibration("vector", fitted)
        by_hand.append(log_loss(calibrate(scored.logits, calibration), scored.truth) * len(scored.film))
    assert losses["vector"] == pytest.approx(sum(by_hand) / 600)


def test_a_temperature_is_chosen_where_it_is_enough():
    predictions = simulate(films=40, repeats=1)
    truth = predictions.truth
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(3), 40)
    labels = [LABELS[k] for k in (random.random(40)[:, None] > shares.cumsum(axis=1)).sum(axis=1)]
    assert set(labels) == set(LABELS)
    honest = replace(with_films(predictions, label=labels), logits=3 * np.log(shares)[None])
    assert not np.array_equal(honest.truth, truth)
    assert fit_parameters(rows_of(honest), ())[1].method == "temperature"


def test_thresholds_and_widths_of_a_fusion_come_from_films_it_was_not_fitted_on():
    rows = rows_of(simulate(films=60, repeats=1))
    parameters, choice = fit_parameters(rows, (AGE_SEX,))
    probabilities, estimates = np.full((60, 3), np.nan), np.full(60, np.nan)
    [served] = parameters.fusion
    chosen = {"labels_by_image": served.labels_by_image, "t_score_by_image": served.t_score_by_image}
    for fitted, scored in rows.turns():
        calibration = fit_calibration(choice.method, fitted)
        reading = answers(scored, fit_fusion(fitted, AGE_SEX, calibration, **chosen), calibration)
        probabilities[scored.film], estimates[scored.film] = reading.probabilities, reading.t_score
    fusion = served
    inside = answers(rows, fit_fusion(rows, AGE_SEX, parameters.calibration, **chosen), parameters.calibration)
    assert fusion.operating_points == fit_operating_points(rows, probabilities, inside.probabilities)
    assert fusion.t_score.interval == fit_interval(rows, estimates, inside.t_score)
    assert fusion.t_score.interval.half_width != fit_interval(rows, inside.t_score).half_width
    assert fusion.operating_points.high_sensitivity.sensitivity >= 0.9
    assert set(triage(LABELS, probabilities, fusion.operating_points)) <= {"refer", "uncertain", "low suspicion"}


def test_every_fit_within_a_fold_is_blind_to_the_folds_that_it_answers(monkeypatch):
    """Fits see whole folds less the one they are for; only the last ones, whose answers nobody scores, see all."""
    rows = rows_of(simulate(films=60, repeats=2, folds=4))
    seen = []
    original = fusion.fit_fusion
    monkeypatch.setattr(
        fusion, "fit_fusion", lambda fitted, *rest, **kind: seen.append(fitted) or original(fitted, *rest, **kind)
    )
    fit_parameters(rows, (AGE_SEX,))
    final = [fitted for fitted in seen if fitted.chosen.all()]
    inner = [fitted for fitted in seen if not fitted.chosen.all()]
    assert (len(final), len(inner)) == (1, 16)
    for fitted in inner:
        (repeat,) = np.flatnonzero(fitted.chosen.any(axis=1))
        assert len(set(rows.predictions.fold[repeat][fitted.film])) == 3


def test_a_picture_that_adds_nothing_gets_weight_0_and_costs_nothing():
    """The label shows in the age alone: on films it was not fitted on, the fused answer is that of age and sex."""
    evidence = evaluate(simulate(films=90, repeats=1, folds=5, image=0.0, age=1.5, seed=1), resamples=50)
    for each in evidence.parameters.fusion:
        assert not each.labels_by_image
        assert not each.t_score_by_image
        assert all(set(each.coefficients[f"log_probability_{label}"]) == {0.0} for label in LABELS)
    pair = next(each for each in evidence.differences if each.predictor == "image + age and sex")
    for metric in pair.metrics:
        if metric.name.startswith("AUROC"):
            assert metric.value >= -0.005


def test_a_picture_that_adds_something_keeps_its_weight():
    rows = rows_of(simulate(films=120, repeats=1, folds=3))
    for each in fit_parameters(rows, (AGE_SEX, ALL))[0].fusion:
        assert each.labels_by_image
        assert each.t_score_by_image


def test_a_picture_of_noise_is_rarely_taken_in():
    """Noise costs on films that it was not fitted on: its gain there is hardly ever above a standard error."""
    taken_in = [
        fit_parameters(rows_of(simulate(films=60, repeats=1, folds=3, image=0.0, seed=seed)), (AGE_SEX,))[0]
        for seed in range(20)
    ]
    assert sum(each.fusion[0].labels_by_image for each in taken_in) <= 2


def test_figures_of_facts_are_of_the_films_that_have_them():
    """A fused answer for a patient of unknown age is that of the image: it says nothing of the fusion."""
    base = simulate(films=80, repeats=1, folds=4, image=0.0, age=1.5)
    unknown = with_films(base, age=[np.nan if k < 20 else film.age for k, film in enumerate(base.films)])
    evidence = evaluate(unknown, resamples=20)
    films = {each.subject: each.films for each in evidence.evaluations}
    assert (films["image"], films["baseline: majority"]) == (80, 80)
    assert (films["image + age and sex"], films["baseline: age and sex"]) == (60, 60)
    fused = next(each for each in evidence.evaluations if each.subject == "image + age and sex")
    assert "films with these facts" in fused.protocol
    answers = next(each for each in evidence.predictors if each.name == fused.subject).probabilities[0]
    expected = roc_auc_score(base.truth[20:] == 2, answers[20:, 2])
    assert next(m for m in fused.metrics if m.name == "AUROC osteoporosis vs rest").value == pytest.approx(expected)
