"""Sizes of studies, against published values, formulas and drawn studies."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from support.simulated import simulate
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.evaluation.sample_size import (
    Scores,
    delong,
    patients_for_gain,
    patients_for_interval,
    scaled,
    standard_error,
)


def test_the_standard_error_is_that_of_hanley_and_mcneil():
    # Their example (Radiology 143:29, 1982): an area of 0.893 on 51 abnormal and 58 normal pictures, 0.032.
    assert standard_error(0.893, 51, 58) == pytest.approx(0.032, abs=0.001)


def test_an_interval_narrows_with_the_root_of_the_count():
    assert scaled(100, 0.1, 0.05) == 400
    assert scaled(100, 0.1, 0.1) == 100
    assert scaled(100, 0.0, 0.1) is None


def test_intervals_of_drawn_studies_are_as_wide_as_planned():
    scores = Scores(0.8, 0.5, 0.0, 0.3)
    patients = patients_for_interval(0.8, 0.3, 0.06)
    random = np.random.default_rng(0)
    areas = [roc_auc_score(ill, before) for before, _, ill in (scores.study(patients, random) for _ in range(300))]
    assert 1.96 * np.std(areas) == pytest.approx(0.06, rel=0.12)


def test_two_scores_together_are_their_linear_discriminant():
    # Distances 1 and 1 without correlation are a distance of the root of 2: Phi(1).
    area = norm.cdf(1 / np.sqrt(2))
    assert Scores(area, area, 0.0, 0.5).together == pytest.approx(norm.cdf(1))
    assert Scores(0.88, 0.5, 0.0, 0.5).gain == pytest.approx(0)
    drawn = Scores(0.88, 0.7, 0.3, 0.4)
    before, after, ill = drawn.study(200_000, np.random.default_rng(0))
    assert roc_auc_score(ill, before) == pytest.approx(0.88, abs=0.004)
    assert roc_auc_score(ill, after) == pytest.approx(drawn.together, abs=0.004)


def test_delong_has_the_difference_and_its_spread_over_studies():
    scores, random = Scores(0.75, 0.7, 0.2, 0.4), np.random.default_rng(1)
    studies = [scores.study(150, random) for _ in range(400)]
    results = [delong(*study) for study in studies]
    before, after, ill = studies[0]
    assert results[0][0] == pytest.approx(roc_auc_score(ill, after) - roc_auc_score(ill, before))
    differences, errors = np.array(results).T
    assert differences.std() == pytest.approx(errors.mean(), rel=0.1)
    tied = np.round(before)
    assert delong(tied, tied, ill) == (0, 0)


def test_a_study_of_the_planned_size_shows_the_gain_as_often_as_planned():
    for power in (0.8, 0.9):
        gain = patients_for_gain(Scores(0.8, 0.75, 0.1, 0.4), power, studies=300)
        assert gain.power == pytest.approx(power, abs=0.08)
    # Published here: an image at 0.70 beside age and sex at 0.89 adds 0.003 to 0.02, which takes up to some thousands.
    assert Scores(0.89, 0.7, 0.0, 0.2).gain == pytest.approx(0.02, abs=0.003)
    needed = patients_for_gain(Scores(0.89, 0.7, 0.2, 0.2), 0.8, studies=0).patients
    assert 1_000 < needed < 4_000


def test_without_a_gain_there_is_no_size():
    for scores in (Scores(0.88, 0.5, 0.0, 0.2), Scores(0.88, 0.45, 0.0, 0.2), Scores(0.9, 0.6, 0.5, 0.2)):
        assert patients_for_gain(scores, 0.8).patients is None


def test_the_command_takes_assumed_figures():
    done = CliRunner().invoke(app, ["plan", "--image", "0.8", "--share", "0.4", "--half-width", "0.1", "--json"])
    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)
    assert plan["assumed"] == {"baseline": 0.88, "image": 0.8, "correlation": 0.0, "share": 0.4}
    assert plan["intervals"]["image"] == patients_for_interval(0.8, 0.4, 0.1)
    assert [gain["image"] for gain in plan["gains"]] == [0.6, 0.65, 0.7, 0.75, 0.8]
    sizes = [gain["patients"] for gain in plan["gains"]]
    assert sizes == sorted(sizes, reverse=True)


def test_the_command_reads_a_run(tmp_path):
    predictions = simulate(films=60, repeats=1, folds=3, image=0.7, age=1.0)
    predictions.write(tmp_path / "predictions.csv")
    done = CliRunner().invoke(app, ["plan", str(tmp_path), "--power", "0.9"])
    assert done.exit_code == 0, done.output
    assert "Assumed for osteoporosis vs rest" in done.stdout
    assert "image: AUROC osteoporosis vs rest" in " ".join(done.stdout.split()).replace(" │", "")
    share = (predictions.truth == 2).mean()
    assert f"{share:.0%} ill" in " ".join(done.stdout.split())
    blank = [replace(film, age=np.nan, sex="") for film in predictions.films]
    replace(predictions, films=blank).write(tmp_path / "predictions.csv")
    refused = CliRunner().invoke(app, ["plan", str(tmp_path)])
    assert refused.exit_code != 0
    assert "has no age and sex to gain over" in refused.output
