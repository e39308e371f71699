"""A single split: parameters from the validation films, figures of what is served on the test films."""

from dataclasses import replace

import numpy as np
import pytest
from support.simulated import simulate, with_films

from osteolens.card import load_card
from osteolens.errors import DataError
from osteolens.evaluation.evaluate import apply_to_card, evaluate
from osteolens.evaluation.evidence import Parameters
from osteolens.evaluation.predictions import Predictions, Split, read_predictions
from osteolens.inference.calibration import read_fused, read_image


def part(predictions: Predictions, first: int, last: int) -> Predictions:
    return replace(
        predictions,
        films=predictions.films[first:last],
        **{name: getattr(predictions, name)[:, first:last] for name in ("fold", "logits", "t_score")},
    )


def single_split(validation: int = 70, image: float = 2.0, trial: bool = False) -> Predictions:
    """40 training films, so many validation films, and 60 test films."""
    drawn = simulate(films=100 + validation, repeats=1, folds=1, image=image)
    held, training = part(drawn, 40, 40 + validation), drawn.films[:40]
    if trial:
        return replace(held, split=Split("validation", training))
    return replace(part(drawn, 40 + validation, 100 + validation), split=Split("test", training, held))


@pytest.fixture(scope="module")
def table() -> Predictions:
    return single_split()


@pytest.fixture(scope="module")
def evidence(table):
    return evaluate(table, resamples=100)


def test_a_table_holds_the_three_parts(table, tmp_path):
    path = tmp_path / "predictions.csv"
    table.write(path)
    again = read_predictions(path)
    assert [film.file for film in again.films] == [f"{index}.png" for index in range(110, 170)]
    assert again.split.scored == "test"
    assert [film.file for film in again.split.training] == [f"{index}.png" for index in range(40)]
    assert again.split.validation.logits == pytest.approx(table.split.validation.logits, rel=1e-5)
    assert again.split.validation.split is None
    again.write(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == path.read_bytes()


def test_names_are_those_of_a_cross_validation(evidence):
    crossed = evaluate(simulate(films=60, repeats=1), resamples=20)
    assert [row.subject for row in evidence.evaluations] == [row.subject for row in crossed.evaluations]
    names = [metric.name for metric in evidence.evaluations[0].metrics]
    within = [metric.name for metric in crossed.evaluations[0].metrics if "within folds" not in metric.name]
    assert names == within


def test_the_figures_are_those_of_the_card_on_the_test_films(table, evidence, model_folder):
    card = apply_to_card(load_card(model_folder), evidence)
    assert card.fitted_on.model_dump() == {"part": "validation", "films": 70, "groups": 70, "left_out": {}}
    reading = read_image(card.labels, table.logits[0], table.t_score[0], card)
    image = evidence.predictors[0]
    assert np.array_equal(image.probabilities[0], reading.probabilities)
    assert np.array_equal(image.zone[0], reading.zone)
    assert np.array_equal(image.low[0], reading.low)
    assert (image.zone != "").all()
    accuracy = next(metric.value for metric in evidence.evaluations[0].metrics if metric.name == "accuracy")
    assert accuracy == pytest.approx((reading.probabilities.argmax(axis=1) == table.truth).mean())
    facts = {name: np.array([getattr(film, name) for film in table.films]) for name in ("age", "weight_kg", "height_m")}
    facts["sex"] = np.array([float(film.sex == "female") for film in table.films])
    fused = read_fused(card.labels, reading.probabilities, reading.t_score, facts, card.fusion[-1])
    assert evidence.predictors[2].probabilities[0] == pytest.approx(fused.probabilities)
    assert "held-out groups, which chose nothing" in evidence.evaluations[0].protocol


def test_test_films_choose_nothing(table, evidence):
    """With other answers and labels of the test films, every fitted number stays as it is."""
    order = np.random.default_rng(1).permutation(60)
    shuffled = with_films(table, label=[table.films[index].label for index in order])
    other = replace(shuffled, logits=-table.logits, t_score=table.t_score + 1)
    assert evaluate(other, resamples=100).parameters == evidence.parameters


def test_baselines_learn_from_the_training_and_validation_films(table, evidence):
    films = [*table.split.training, *table.split.validation.films]
    shares = [sum(film.label == label for film in films) / 110 for label in table.labels]
    majority = next(predictor for predictor in evidence.predictors if predictor.name == "baseline: majority")
    assert majority.probabilities[0] == pytest.approx(np.tile(shares, (60, 1)))
    assert "fitted on the training and validation films" in majority.protocol


def left_out(table: Predictions) -> tuple[Parameters, dict[str, str]]:
    parameters = evaluate(table, resamples=20).parameters
    return parameters, parameters.fitted_on.left_out


def test_no_validation_films():
    parameters, reasons = left_out(replace(single_split(), split=Split("test", single_split().split.training)))
    assert parameters.calibration is parameters.operating_points is parameters.t_score_interval is None
    assert parameters.no_triage == "there are no validation films"
    assert set(reasons) == {"calibration", "operating points", "T-score interval", "fusion"}


def test_eight_validation_films_are_too_few_for_anything():
    parameters, reasons = left_out(single_split(validation=8))
    assert (parameters.fitted_on.films, parameters.calibration) == (8, None)
    assert reasons["calibration"] == "8 groups of validation films are too few to fit on, at least 10 are needed"


def test_25_validation_films_are_enough_for_calibration_and_interval_alone():
    table = single_split(validation=25)
    with_label = sum(film.label == "osteoporosis" for film in table.split.validation.films)
    assert 2 <= with_label < 10
    parameters, reasons = left_out(table)
    assert parameters.calibration is not None
    assert parameters.t_score_interval is not None
    assert (parameters.operating_points, parameters.fusion) == (None, ())
    assert parameters.no_triage.startswith(
        f"{with_label} films with osteoporosis and {25 - with_label} without are too"
    )
    assert reasons["operating points"] == parameters.no_triage
    assert reasons["fusion by age and sex"].startswith("known of 25 validation films, at least 30 are needed")
    assert list(reasons) == ["operating points", "fusion by age and sex", "fusion by age, sex, weight and height"]


def test_few_measured_t_scores_leave_the_interval_out():
    table = single_split(validation=60)
    scores = [film.t_score if index < 8 else np.nan for index, film in enumerate(table.split.validation.films)]
    held = with_films(table.split.validation, t_score=scores)
    parameters, reasons = left_out(replace(table, split=replace(table.split, validation=held)))
    assert parameters.t_score_interval is None
    assert reasons["T-score interval"] == (
        "8 groups of validation films have a measured T-score, at least 9 are needed"
    )


def test_a_trial_scores_the_validation_films_with_numbers_from_others(tmp_path, evidence):
    table = single_split(trial=True)
    table.write(tmp_path / "predictions.csv")
    assert read_predictions(tmp_path / "predictions.csv").split.scored == "validation"
    trial = evaluate(table, resamples=100)
    assert trial.evaluations[0].films == 70
    assert trial.evaluations[0].protocol.startswith("the model, whose epoch these films chose")
    assert "a trial" in trial.evaluations[0].protocol
    assert trial.parameters.calibration == evidence.parameters.calibration
    served = read_image(table.labels, table.logits[0], table.t_score[0], trial.parameters)
    assert not np.allclose(trial.predictors[0].probabilities[0], served.probabilities)


def test_a_card_from_before_keeps_its_hash_and_its_file(model_folder, tmp_path):
    card = load_card(model_folder)
    assert "fitted_on" not in card.model_dump(mode="json")
    card.save(tmp_path)
    assert "fitted_on" not in (tmp_path / "card.json").read_text()


@pytest.mark.parametrize("parts", [{"test": "tset"}, {"train": ""}])
def test_a_part_that_is_none_is_refused(table, tmp_path, parts):
    path = tmp_path / "predictions.csv"
    table.write(path)
    [(before, after)] = parts.items()
    path.write_text(path.read_text().replace(f",{before}\n", f",{after}\n"))
    with pytest.raises(DataError, match="a row has no part or another than train, validation, test"):
        read_predictions(path)
