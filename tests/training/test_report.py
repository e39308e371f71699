"""The figures of a single split."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console
from support.films import AGE, T_SCORE, film
from support.training import configuration

from osteolens import models
from osteolens.card import Evaluation, Metric
from osteolens.evaluation.predictions import read_predictions
from osteolens.labels import LABELS
from osteolens.training.cohort import Cohort
from osteolens.training.report import show, write_report


@pytest.fixture
def cohort():
    """60 films; one third each for training, validation and test."""
    random = np.random.default_rng(0)
    films = [
        film(
            label,
            f"g{index}",
            age=AGE[label] + 15 * random.normal(),
            sex=("female", "male")[index % 2],
            t_score=T_SCORE[label],
            weight_kg=70 + random.normal(),
            height_m=1.65 + 0.1 * random.normal(),
            family="ab"[index % 2],
        )
        for index in range(60)
        for label in [LABELS[(0, 1, 1, 1, 2)[index % 5]]]
    ]
    parts = np.repeat(["train", "validation", "test"], 20)
    return Cohort(films, LABELS, np.zeros((60, 1, 64, 64), np.uint8), parts)


@pytest.mark.parametrize(("part", "fitted"), [("test", "train and validation"), ("validation", "train")])
def test_the_model_is_scored_beside_every_baseline_that_has_its_facts(part, fitted, cohort, tmp_path):
    config = configuration(preprocess={"height": 64, "width": 64})
    model = models.build("tf_efficientnet_lite0", 3, has_t_score=True, pretrained=False)
    card = write_report(tmp_path, config, "knee", model, cohort, part, torch.device("cpu"))

    found = {evaluation.subject: evaluation for evaluation in card.evaluations}
    assert list(found) == [
        "knee (image alone)",
        "baseline: majority class",
        "baseline: file format",
        "baseline: age and sex",
        "baseline: age, sex, weight and height",
    ]
    assert (
        f"fitted on the {fitted} groups, classes weighted as for the model" in found["baseline: age and sex"].protocol
    )
    assert {evaluation.films for evaluation in found.values()} == {20}
    figures = {name: {metric.name: metric.value for metric in entry.metrics} for name, entry in found.items()}
    assert figures["baseline: age and sex"]["balanced accuracy"] > 0.5
    assert figures["baseline: majority class"]["balanced accuracy"] == pytest.approx(1 / 3)
    assert json.loads((tmp_path / "metrics.json").read_text())[0]["subject"] == "knee (image alone)"

    stored = read_predictions(tmp_path / "predictions.csv")
    assert [film.file for film in stored.films] == [film.file for film in cohort.among(part).films]
    right = stored.logits[0].argmax(axis=1) == stored.truth
    assert figures["knee (image alone)"]["accuracy"] == pytest.approx(right.mean())


@pytest.mark.parametrize("width", [80, 200])
def test_the_printed_figures_keep_every_name_and_fit_the_console(width):
    names = ("quadratic-weighted kappa", "sensitivity severe osteoporosis", "T-score lower limit of agreement")
    metrics = [Metric(name=name, value=-0.5, low=-0.75, high=-0.25) for name in names]
    subjects = ("squares (image alone)", *(f"baseline: {kind}" for kind in ("majority class", "file format", "age")))
    evaluations = [
        Evaluation(subject=subject, protocol="p", films=6, groups=6, metrics=metrics) for subject in subjects
    ]
    console = Console(file=io.StringIO(), width=width)
    show(SimpleNamespace(evaluations=evaluations), "scored on held-out groups", console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert text.count("-0.500 [-0.750, -0.250]") == 12
    words = " ".join(text.replace("┃", " ").replace("│", " ").split())
    for name in (*names, *subjects):
        assert all(word in words for word in name.split())
    assert text.count("┏") == (2 if width == 80 else 1)
