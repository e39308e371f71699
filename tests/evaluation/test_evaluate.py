import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.films import film
from support.simulated import simulate, with_films

from osteolens.card import load_card
from osteolens.datasets.folds import assign_folds
from osteolens.errors import DataError
from osteolens.evaluation import predictors
from osteolens.evaluation.breakdown import interval_coverage
from osteolens.evaluation.calibration import Rows, facts_of
from osteolens.evaluation.evaluate import apply_to_card, evaluate, from_age_and_sex
from osteolens.evaluation.evidence import Predictor
from osteolens.evaluation.fusion import fit_parameters
from osteolens.evaluation.metrics import draw
from osteolens.evaluation.predictions import Predictions
from osteolens.inference.calibration import read_fused, read_image, softmax
from osteolens.labels import LABELS

NAMES = [
    "image",
    "image + age and sex",
    "image + age, sex, weight and height",
    "baseline: majority",
    "baseline: file format",
    "baseline: age and sex",
    "baseline: age, sex, weight and height",
]


@pytest.fixture(scope="module")
def predictions():
    return simulate(films=90, repeats=2, folds=3)


@pytest.fixture(scope="module")
def small():
    return simulate(films=60, repeats=1, folds=3)


@pytest.fixture(scope="module")
def evidence(predictions):
    return evaluate(predictions, resamples=200)


def figure(evaluation, name):
    return next(metric for metric in evaluation.metrics if metric.name == name)


def test_all_predictors_are_evaluated_in_order(evidence):
    assert [predictor.name for predictor in evidence.predictors] == NAMES
    assert [evaluation.subject for evaluation in evidence.evaluations] == NAMES
    for predictor in evidence.predictors:
        assert predictor.probabilities.shape == (2, 90, 3)
        assert predictor.probabilities.sum(axis=2) == pytest.approx(np.ones((2, 90)))
        assert np.isfinite(predictor.t_score).all()
    assert all((evaluation.films, evaluation.groups) == (90, 90) for evaluation in evidence.evaluations)
    protocol = evidence.evaluations[0].protocol
    for part in ("mean over 2 repeats of 3 folds of whole groups", "200 bootstrap resamples of groups"):
        assert part in protocol


def test_figures_are_those_of_the_stored_answers(evidence, predictions):
    for predictor, evaluation in zip(evidence.predictors, evidence.evaluations, strict=True):
        if predictor.name != "baseline: majority":
            ill = predictions.truth == 2
            expected = np.mean([roc_auc_score(ill, shares[:, 2]) for shares in predictor.probabilities])
            assert figure(evaluation, "AUROC osteoporosis vs rest").value == pytest.approx(expected)
        error = np.abs(predictor.t_score - predictions.measured).mean()
        assert figure(evaluation, "T-score MAE").value == pytest.approx(error)


def test_the_candidates_are_measured_as_the_image_is():
    predictions = simulate(films=600, repeats=2, folds=3, facts=False)
    rows = Rows(predictions, np.ones((2, 600), bool))
    assert {fit_parameters(fitted, ())[1].method for fitted, _ in rows.turns()} == {"vector"}
    result = evaluate(predictions, resamples=2)
    candidate = next(entry for entry in result.calibration.candidates if entry.method == "vector")
    assert figure(result.evaluations[0], "ECE").value == pytest.approx(candidate.ece)
    assert figure(result.evaluations[0], "Brier score").value == pytest.approx(candidate.brier)


def test_a_constant_answer_has_no_ranking_figures(evidence):
    names = {metric.name for metric in evidence.evaluations[NAMES.index("baseline: majority")].metrics}
    assert not [name for name in names if "AUROC" in name or "precision" in name or "Pearson" in name]
    assert {"accuracy", "Brier score", "T-score MAE"} <= names


def test_differences_are_of_the_figures_above(evidence):
    assert [(difference.predictor, difference.baseline) for difference in evidence.differences] == [
        ("image", "baseline: age and sex"),
        ("image + age and sex", "baseline: age and sex"),
        ("image + age, sex, weight and height", "baseline: age and sex"),
        ("image + age, sex, weight and height", "baseline: age, sex, weight and height"),
    ]
    values = {evaluation.subject: evaluation for evaluation in evidence.evaluations}
    for difference in evidence.differences:
        for metric in difference.metrics:
            first, second = (figure(values[name], metric.name) for name in (difference.predictor, difference.baseline))
            assert metric.value == pytest.approx(first.value - second.value)
            assert metric.high - metric.low <= first.high - first.low + second.high - second.low + 1e-9


def test_a_card_keeps_the_areas_less_those_of_age_and_sex(evidence):
    kept = [*from_age_and_sex(evidence.differences)]
    assert [each.predictor for each in kept] == ["image", "image + age and sex", "image + age, sex, weight and height"]
    assert {metric.name for each in kept for metric in each.metrics} == {
        "AUROC normal vs rest", "AUROC osteoporosis vs rest",
    }  # fmt: skip
    assert kept[0].metrics[0] in evidence.differences[0].metrics


def test_an_image_that_adds_something_is_seen_to_add_it():
    difference = evaluate(simulate(films=150, repeats=1, folds=5), resamples=100).differences[1]
    assert figure(difference, "AUROC osteoporosis vs rest").low > 0
    assert figure(difference, "T-score MAE").high < 0


def test_parameters_for_a_fold_are_fitted_on_the_other_folds(evidence, predictions):
    """The answers about one fold can be had from a table that holds nothing else of that fold than its logits."""
    chosen = np.zeros_like(predictions.fold, dtype=bool)
    chosen[1] = predictions.fold[1] != 2
    wrong = with_films(
        predictions,
        label=[film.label if keep else "normal" for film, keep in zip(predictions.films, chosen[1], strict=True)],
        t_score=[film.t_score if keep else 9.0 for film, keep in zip(predictions.films, chosen[1], strict=True)],
    )
    parameters, _ = fit_parameters(Rows(wrong, chosen), ())
    scored = ~chosen[1]
    reading = read_image(predictions.labels, predictions.logits[1, scored], predictions.t_score[1, scored], parameters)
    image = evidence.predictors[0]
    assert image.probabilities[1, scored] == pytest.approx(reading.probabilities)
    assert image.low[1, scored] == pytest.approx(reading.low)
    assert image.high[1, scored] == pytest.approx(reading.high)
    assert image.zone[1, scored].tolist() == reading.zone.tolist()


def test_no_fit_sees_the_fold_that_it_is_for(monkeypatch, predictions):
    calls = []
    original = predictors.fit_parameters
    monkeypatch.setattr(predictors, "fit_parameters", lambda rows, facts: calls.append(rows) or original(rows, facts))
    placed = []
    put = predictors._Table.put
    monkeypatch.setattr(
        predictors._Table,
        "put",
        lambda self, rows, reading: placed.append((len(calls), rows)) or put(self, rows, reading),
    )
    predictors.answer_from_images(Rows(predictions, np.ones((2, 90), bool)), (), "a model")
    assert len(calls) == len(placed) == 6
    for number, scored in placed:
        fitted = calls[number - 1]
        (repeat,) = np.flatnonzero(scored.chosen.any(axis=1))
        assert np.flatnonzero(fitted.chosen.any(axis=1)).tolist() == [repeat]
        folds = predictions.fold[repeat]
        assert set(folds[fitted.film]) | set(folds[scored.film]) == {0, 1, 2}
        assert not set(folds[fitted.film]) & set(folds[scored.film])


def test_baselines_are_fitted_on_the_other_folds_of_the_repeat(monkeypatch, predictions):
    seen = []

    def baseline(fitted, scored, labels):
        seen.append(({film.file for film in fitted}, {film.file for film in scored}))
        return np.ones((len(scored), 3)) / 3, np.zeros(len(scored))

    monkeypatch.setattr(predictors, "BASELINES", {"baseline: spy": ("nothing", baseline)})
    predictors.answer_from_baselines(predictions)
    files = np.array([film.file for film in predictions.films])
    expected = [
        (set(files[folds != fold]), set(files[folds == fold])) for folds in predictions.fold for fold in range(3)
    ]
    assert seen == expected


def test_shuffled_labels_leave_nothing_to_find():
    """On average: one shuffle of few films can rank them well or badly by chance, more than an interval says."""
    predictions = simulate(films=90, repeats=1, folds=4, image=2.0, age=2.0)
    areas = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(90)
        labels = [predictions.films[index].label for index in order]
        scores = [predictions.films[index].t_score for index in order]
        # Folds must be even in the shuffled labels: uneven ones pull figures of cross-validation below chance.
        fold = assign_folds(labels, predictions.groups, 4, seed=0)[None]
        shuffled = replace(with_films(predictions, label=labels, t_score=scores), fold=fold)
        evaluations = evaluate(shuffled, resamples=2).evaluations[:3]
        areas.append([figure(each, f"AUROC {k} vs rest").value for each in evaluations for k in LABELS[::2]])
    assert np.mean(areas, axis=0) == pytest.approx(0.5, abs=0.1)


def test_triage_counts_add_up_and_shares_follow(evidence, predictions):
    assert [table.predictor for table in evidence.triage] == NAMES[:3]
    labels = [film.label for film in predictions.films]
    for table in evidence.triage:
        for label in predictions.labels:
            assert sum(zone[label] for zone in table.counts.values()) == pytest.approx(labels.count(label))
        for zone, share in table.ill.items():
            assert share.value == pytest.approx(table.counts[zone]["osteoporosis"] / sum(table.counts[zone].values()))
            assert share.low <= share.value <= share.high
        sensitivity, specificity = table.reached
        missed = table.counts["low suspicion"]["osteoporosis"]
        assert sensitivity.value == pytest.approx(1 - missed / labels.count("osteoporosis"))
        referred = table.counts["refer"]
        assert specificity.value == pytest.approx(
            1 - (referred["normal"] + referred["osteopenia"]) / (90 - labels.count("osteoporosis"))
        )
        assert sensitivity.value == pytest.approx(0.9, abs=0.1)
        assert specificity.value == pytest.approx(0.9, abs=0.1)


def test_intervals_cover_about_nine_films_of_ten(evidence, predictions):
    assert [coverage.predictor for coverage in evidence.coverage] == NAMES[:3]
    for coverage, predictor in zip(evidence.coverage, evidence.predictors, strict=False):
        inside = (predictor.low <= predictions.measured) & (predictions.measured <= predictor.high)
        assert coverage.covered.value == pytest.approx(inside.mean())
        assert coverage.covered.value == pytest.approx(0.9, abs=0.05)
        assert coverage.mean_width == pytest.approx((predictor.high - predictor.low).mean())
    assert evidence.coverage[1].mean_width < evidence.coverage[0].mean_width


def test_subgroups_of_the_image_predictor(evidence, predictions):
    assert {part.evaluation.subject for part in evidence.subgroups} == {"image"}
    films = {(part.kind, part.value): part.evaluation.films for part in evidence.subgroups}
    ages = [film.age for film in predictions.films]
    assert films["age", "under 45"] == sum(age < 45 for age in ages)
    assert films["age", "45 to 59"] == sum(45 <= age < 60 for age in ages)
    assert films["sex", "female"] + films["sex", "male"] == 90
    assert films["family", "a"] == films["family", "b"] == 45
    part = next(part for part in evidence.subgroups if part.value == "a")
    rows = np.arange(90) % 2 == 0
    right = (evidence.predictors[0].probabilities.argmax(axis=2) == predictions.truth)[:, rows]
    assert figure(part.evaluation, "accuracy").value == pytest.approx(right.mean())


def test_sources_are_compared_where_there_are_two(evidence, small):
    assert evidence.per_source == ()
    parts = evaluate(with_films(small, source=["here", "there", "there"] * 20), resamples=20).per_source
    assert [(part.value, part.evaluation.subject) for part in parts] == [
        (source, name) for source in ("here", "there") for name in NAMES
    ]
    assert {part.evaluation.films for part in parts if part.value == "there"} == {40}


def test_films_with_unknown_facts_get_the_image_s_answer(small):
    ages = [np.nan if index < 10 else film.age for index, film in enumerate(small.films)]
    weights = [np.nan if index < 20 else film.weight_kg for index, film in enumerate(small.films)]
    image, some, more = evaluate(with_films(small, age=ages, weight_kg=weights), resamples=10).predictors[:3]
    assert np.array_equal(some.probabilities[:, :10], image.probabilities[:, :10])
    assert np.array_equal(more.low[:, :10], image.low[:, :10])
    assert np.array_equal(more.probabilities[:, 10:20], some.probabilities[:, 10:20])
    assert not np.isclose(some.probabilities[:, 10:], image.probabilities[:, 10:]).all(axis=(1, 2)).any()
    assert not np.isclose(more.probabilities[:, 20:], some.probabilities[:, 20:]).all(axis=(1, 2)).any()


def test_the_evidence_is_plain_json_and_the_same_each_time(small):
    first, second = (evaluate(small, resamples=50).dump() for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first, allow_nan=False))["evaluations"][0]["subject"] == "image"


def test_the_card_gets_the_figures_and_the_numbers_fitted_on_all_rows(evidence, predictions, model_folder, tmp_path):
    card = apply_to_card(load_card(model_folder), evidence)
    card.save(tmp_path)
    again = load_card(tmp_path, check_weights=False)
    assert again == card
    assert again.evaluations == evidence.evaluations
    parameters, choice = fit_parameters(
        Rows(predictions, np.ones((2, 90), bool)), [fusion.inputs for fusion in again.fusion]
    )
    assert [fusion.inputs for fusion in again.fusion] == [("age", "sex"), ("age", "sex", "weight_kg", "height_m")]
    assert (again.calibration, again.operating_points) == (parameters.calibration, parameters.operating_points)
    assert (again.t_score_interval, again.fusion) == (parameters.t_score_interval, parameters.fusion)
    assert evidence.calibration == choice


def test_the_card_holds_what_its_own_numbers_give_the_stored_answers(evidence, predictions, model_folder):
    card = apply_to_card(load_card(model_folder), evidence)
    logits, t_score = predictions.logits.reshape(-1, 3), predictions.t_score.ravel()
    reading = read_image(card.labels, logits, t_score, card)
    shares = {zone: (reading.zone == zone).mean() for zone in card.operating_points.zones}
    assert card.operating_points.zones == pytest.approx(shares)
    assert min(shares.values()) > 0
    measured = np.tile(predictions.measured, 2)
    assert card.t_score_interval.covered == pytest.approx(
        ((reading.low <= measured) & (measured <= reading.high)).mean()
    )
    facts = {name: np.tile(values, 2) for name, values in facts_of(predictions.films).items()}
    for fusion in card.fusion:
        fused = read_fused(card.labels, reading.probabilities, reading.t_score, facts, fusion)
        shares = {zone: (fused.zone == zone).mean() for zone in fusion.operating_points.zones}
        assert fusion.operating_points.zones == pytest.approx(shares)
        assert min(shares.values()) > 0
        inside = (fused.low <= measured) & (measured <= fused.high)
        assert fusion.t_score.interval.covered == pytest.approx(inside.mean())


def test_an_image_that_is_not_shown_to_beat_chance_gives_no_zones(model_folder):
    """The fused answer keeps its own, but not for films without facts, which get the image's."""
    blind = simulate(films=120, repeats=2, folds=3, image=0.0, age=2.0)
    ages = [np.nan if index < 10 else film.age for index, film in enumerate(blind.films)]
    result = evaluate(with_films(blind, age=ages), resamples=200)
    area = figure(result.evaluations[0], "AUROC osteoporosis vs rest")
    assert area.low <= 0.5
    card = apply_to_card(load_card(model_folder), result)
    assert card.operating_points is None
    assert card.no_triage.startswith(
        f"not shown to beat chance: AUROC for osteoporosis {area.value:.2f} ({area.low:.2f} to {area.high:.2f})"
    )
    assert [fusion.no_triage for fusion in card.fusion] == ["", ""]
    image, fused = result.predictors[:2]
    assert not (image.zone != "").any()
    assert not (fused.zone[:, :10] != "").any()
    assert (fused.zone[:, 10:] != "").all()
    assert [table.predictor for table in result.triage] == NAMES[1:3]
    assert sum(sum(zone.values()) for zone in result.triage[0].counts.values()) == pytest.approx(110)
    reading = read_image(card.labels, blind.logits[0], blind.t_score[0], card)
    assert not (reading.zone != "").any()


def test_an_ensemble_is_scored_by_the_mean_answers_of_its_repeats(predictions):
    result = evaluate(predictions, resamples=20, ensemble=5)
    shares = softmax(predictions.logits).mean(axis=0)
    assert np.exp(result.predictions.logits[0]) == pytest.approx(shares)
    assert result.predictions.t_score[0] == pytest.approx(predictions.t_score.mean(axis=0))
    error = np.abs(predictions.t_score.mean(axis=0) - predictions.measured).mean()
    assert figure(result.evaluations[0], "T-score MAE").value == pytest.approx(error)
    first = result.evaluations[0].protocol
    assert first.startswith("the mean answer of 2 members (one per repeat) that had seen no film of the group")
    assert "the ensemble that is shipped has 5" in first
    once = replace(predictions, **{name: getattr(predictions, name)[:1] for name in ("fold", "logits", "t_score")})
    protocol = evaluate(once, resamples=20, ensemble=3).evaluations[0].protocol
    assert protocol.startswith("single members that had seen no film of the group, not the ensemble of 3")


def test_areas_within_folds_are_beside_the_pooled_ones(predictions):
    """Models of different folds may differ in level, which costs the pooled area and says nothing of the films."""
    level = 6.0 * predictions.fold[..., None] * np.array([0.0, 0.0, 1.0])
    uneven = replace(predictions, logits=predictions.logits + level)
    metrics = {metric.name: metric.value for metric in evaluate(uneven, resamples=20).evaluations[0].metrics}
    name = "osteoporosis vs rest"
    assert metrics[f"AUROC within folds {name}"] > metrics[f"AUROC {name}"] + 0.02


def test_grades_without_t_scores_facts_or_triage():
    random = np.random.default_rng(0)
    grade = random.integers(0, 5, 80)
    base = simulate(films=80, repeats=1, folds=1, facts=False, t_score=False)
    films = [film(str(k), f"p{index // 2}", family="x") for index, k in enumerate(grade)]
    logits = -((grade[:, None] + random.normal(size=(80, 1)) - np.arange(5)) ** 2)
    result = evaluate(replace(base, labels=tuple("01234"), films=films, logits=logits[None]), resamples=50)
    assert [predictor.name for predictor in result.predictors] == ["image", "baseline: majority"]
    assert figure(result.evaluations[0], "AUROC 2 and above vs below").low > 0.7
    assert (result.triage, result.coverage, result.differences, result.subgroups) == ((), (), (), ())
    parameters = result.parameters
    assert (parameters.operating_points, parameters.t_score_interval, parameters.fusion) == (None, None, ())
    assert parameters.calibration is not None
    assert "a held-out set, split by group into 5 folds" in result.evaluations[0].protocol
    json.dumps(result.dump(), allow_nan=False)


def test_facts_of_one_source_alone_are_not_fused(small):
    """Each source is a fold: nothing about age can be fitted for the films that have it."""
    source = ["here" if index % 2 else "there" for index in range(60)]
    films = with_films(small, source=source, age=[np.nan if name == "here" else 50.0 for name in source])
    result = evaluate(replace(films, fold=(np.arange(60) % 2)[None]), resamples=20)
    assert [predictor.name for predictor in result.predictors] == ["image", "baseline: majority"]
    assert len(result.per_source) == 4


def test_two_folds_are_enough(small):
    result = evaluate(replace(small, fold=small.fold.clip(0, 1)), resamples=20)
    assert [predictor.name for predictor in result.predictors] == NAMES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: with_films(p, group=["g0"] * 90), "1 groups are too few to evaluate"),
        (lambda p: with_films(p, group=[f"g{index // 2}" for index in range(90)]), r"repeat 0: group 'g\d+' is in"),
        (lambda p: replace(p, fold=np.array([p.truth, p.truth]).clip(0, 1)), "outside fold 1 have the same label"),
    ],
)
def test_tables_that_cannot_be_evaluated(change, message, predictions):
    with pytest.raises(DataError, match=message):
        evaluate(change(predictions), resamples=10)


def test_a_held_out_set_with_one_film_of_a_label_is_refused():
    films = [film("normal" if index else "osteoporosis", f"g{index:02}", t_score=0.0) for index in range(14)]
    table = Predictions(
        labels=("normal", "osteoporosis"),
        films=films,
        fold=np.zeros((1, 14), np.int64),
        logits=np.random.default_rng(0).normal(size=(1, 14, 2)),
        t_score=np.full((1, 14), np.nan),
    )
    with pytest.raises(DataError, match="all but one have the same label; hold out more groups of the rare labels"):
        evaluate(table, resamples=5)


def test_intervals_that_no_resample_can_check_are_left_out():
    """One measured T-score of 60: in the one resample of this seed, its group is not drawn."""
    table = simulate(films=60, repeats=1, seed=3)
    seed = next(seed for seed in range(50) if not draw(table.groups, 1, seed)[0, 0])
    gaps = np.full((1, 60), np.nan)
    shares, zone = np.full((1, 60, 3), 1 / 3), np.full((1, 60), "")
    predictor = Predictor("image", "", shares, table.t_score, table.t_score - 1, table.t_score + 1, zone)
    single = with_films(table, t_score=[table.films[0].t_score, *[np.nan] * 59])
    assert interval_coverage(single, predictor, draw(single.groups, 1, seed)) is None
    assert interval_coverage(single, predictor, np.ones((1, 60))).mean_width == pytest.approx(2.0)
    without = with_films(table, t_score=[np.nan] * 60)
    assert interval_coverage(without, predictor, draw(without.groups, 5, seed)) is None
    assert interval_coverage(table, replace(predictor, low=gaps, high=gaps), np.ones((1, 60))) is None
