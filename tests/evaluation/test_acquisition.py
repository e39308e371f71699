"""A picture that tells how the film was taken, and one that tells more."""

from dataclasses import replace

import numpy as np
import pytest
from support.simulated import simulate, with_films

from osteolens.card import BEYOND_ACQUISITION
from osteolens.evaluation.acquisition import beyond_acquisition
from osteolens.evaluation.breakdown import sampled_figures
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.evidence import Predictor
from osteolens.evaluation.metrics import draw
from osteolens.evaluation.predictions import read_predictions
from osteolens.evaluation.predictors import answer_from_baselines
from osteolens.films.acquisition import NAMES
from osteolens.inference.calibration import softmax

ARRAYS = ("fold", "logits", "t_score")
ILL = "osteoporosis vs rest"


def taken(predictions, first):
    """The predictions with acquisition: its first number as stated, the others noise."""
    noise = np.random.default_rng(7).normal(size=(len(first), len(NAMES)))
    noise[:, 0] = first
    return with_films(predictions, acquisition=[tuple(row) for row in noise])


def figures(predictions):
    """Figures of the uncalibrated image, of acquisition alone, and of the image beyond it, by name."""
    none, zone = np.full(predictions.fold.shape, np.nan), np.full(predictions.fold.shape, "")
    image = Predictor("image", "", softmax(predictions.logits), none, none, none, zone)
    predictors, draws = (image, *answer_from_baselines(predictions)), draw(predictions.groups, 200, 0)
    (beyond,) = beyond_acquisition(predictions, predictors, draws)
    alone = next(each for each in predictors if each.name == "baseline: acquisition")
    sampled = [sampled_figures(predictions, each, draws).metrics() for each in (image, alone)]
    return [{metric.name: metric for metric in metrics} for metrics in (*sampled, beyond.metrics)]


@pytest.fixture(scope="module")
def bone():
    """An image that sees the T-score through noise, on films taken at random."""
    base = simulate(films=300, repeats=1, image=1.0, seed=3)
    return taken(base, np.random.default_rng(1).normal(size=300))


def scanner(seed, films=300):
    """A device that tells the label: ill patients came to another machine; the image sees the device alone."""
    base = simulate(films=films, repeats=1, image=0.0, seed=seed)
    random = np.random.default_rng(100 + seed)
    device = -base.measured + random.normal(size=films)
    seen = device + random.normal(0, 0.3, films)
    logits = np.stack([-seen, np.full(films, 0.3), seen], axis=1)[None]
    return taken(replace(base, logits=logits), device)


def test_an_image_of_bone_keeps_what_it_has_beyond_acquisition(bone):
    image, alone, beyond = figures(bone)
    assert alone[f"AUROC {ILL}"].low < 0.5
    assert beyond[f"AUROC {ILL}"].value == pytest.approx(image[f"AUROC {ILL}"].value, abs=0.04)
    assert beyond[f"AUROC {ILL}"].low > 0.6
    assert beyond[f"AUROC within families {ILL}"].low > 0.6
    assert beyond[f"AUROC gain {ILL}"].low > 0.05


def test_an_image_of_the_device_beats_chance_and_has_nothing_beyond():
    areas = []
    for seed in range(6):
        image, alone, beyond = figures(scanner(seed))
        assert image[f"AUROC {ILL}"].low > 0.65
        assert alone[f"AUROC {ILL}"].low > 0.6
        assert beyond[f"AUROC gain {ILL}"].low < 0.01
        areas.append(beyond[f"AUROC {ILL}"])
    assert np.mean([area.value for area in areas]) == pytest.approx(0.5, abs=0.04)
    assert sum(area.low <= 0.5 for area in areas) >= 5


def test_nothing_is_called_nothing_on_few_films():
    """A picture of noise on films taken at random: 0.5 on average, and no gain by rising from below 0.5 to 0.5."""
    areas, gains = [], []
    for seed in range(8):
        base = simulate(films=80, repeats=1, image=0.0, seed=seed)
        beyond = figures(taken(base, np.random.default_rng(100 + seed).normal(size=80)))[2]
        areas.append(beyond[f"AUROC {ILL}"].value)
        gains.append(beyond[f"AUROC gain {ILL}"].value)
    assert np.mean(areas) == pytest.approx(0.5, abs=0.05)
    assert np.mean(gains) < 0.03


def test_a_constant_score_less_its_fit_is_no_rounding_noise(bone):
    flat = replace(bone, logits=np.zeros_like(bone.logits))
    assert figures(flat)[2][f"AUROC {ILL}"].value == pytest.approx(0.5)


def test_acquisition_is_stored_with_the_predictions_and_read_back(bone, tmp_path):
    bone.write(tmp_path / "predictions.csv")
    stored = read_predictions(tmp_path / "predictions.csv")
    small = replace(stored, films=stored.films[:60], **{n: getattr(stored, n)[:, :60] for n in ARRAYS})
    for first, second in zip(stored.films, bone.films, strict=True):
        assert first.acquisition == pytest.approx(second.acquisition, rel=1e-3)
    assert evaluate(small, resamples=20).dump()["evaluations"][-1]["subject"] == BEYOND_ACQUISITION


def test_without_measured_films_there_is_no_such_figure(tmp_path):
    base = simulate(films=60, repeats=1)
    base.write(tmp_path / "predictions.csv")
    assert "acquisition" not in (tmp_path / "predictions.csv").read_text()
    measured = taken(base, np.arange(60.0))
    partly = replace(base, films=[measured.films[0], *base.films[1:]])
    for predictions in (base, partly):
        baselines = answer_from_baselines(predictions)
        assert "baseline: acquisition" not in {each.name for each in baselines}
        assert beyond_acquisition(predictions, baselines, np.ones((1, 60))) == ()
