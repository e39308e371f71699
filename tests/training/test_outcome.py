"""What a single split leaves: one table, the card, the figures, and what is printed."""

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console
from support.films import AGE, T_SCORE, film
from support.shown import bare_card
from support.training import configuration

from osteolens import models
from osteolens.card import Evaluation, Metric, load_card
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.predictions import PREDICTIONS_FILE, read_predictions
from osteolens.evaluation.run_folder import MODEL_FOLDER
from osteolens.labels import LABELS
from osteolens.parameters import FittedOn
from osteolens.reports.run_page import write_report_page
from osteolens.training.cohort import Cohort
from osteolens.training.model_folder import predict_split, save_model
from osteolens.training.outcome import show, write_outcome


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
    pictures = random.integers(0, 256, (60, 1, 64, 64)).astype(np.uint8)
    return Cohort(films, LABELS, pictures, parts)


@pytest.mark.parametrize(("part", "fitted"), [("test", "training and validation"), ("validation", "training")])
def test_a_single_split_is_evaluated_from_its_table(part, fitted, cohort, tmp_path, quiet):
    config = configuration(preprocess={"height": 64, "width": 64})
    model = models.build("tf_efficientnet_lite0", 3, has_t_score=True, pretrained=False)
    folder = save_model(tmp_path, config, "knee", model, cohort)
    assert folder == tmp_path / MODEL_FOLDER
    predict_split(folder, cohort, config, part, torch.device("cpu")).write(tmp_path / PREDICTIONS_FILE)
    card = write_outcome(tmp_path, quiet)

    stored = read_predictions(tmp_path / PREDICTIONS_FILE)
    assert [film.file for film in stored.films] == [film.file for film in cohort.among(part).films]
    assert load_card(folder) == card
    rows = {evaluation.subject: evaluation for evaluation in card.evaluations}
    assert list(rows) == [
        "image",
        "baseline: majority",
        "baseline: file format",
        "baseline: age and sex",
        "baseline: age, sex, weight and height",
    ]
    assert f"fitted on the {fitted} films" in rows["baseline: age and sex"].protocol
    assert {evaluation.films for evaluation in rows.values()} == {20}
    assert json.loads((tmp_path / "metrics.json").read_text()) == evaluate(stored).dump()
    assert (card.fitted_on.films, card.calibration is None, card.operating_points) == (20, False, None)
    assert "4 films with osteoporosis and 16 without are too few" in card.no_triage
    page = write_report_page(tmp_path).read_text()
    assert "a single split" in page
    assert "20 validation films of 20 groups" in page
    assert "no fusion by age and sex" in page


@pytest.mark.parametrize("width", [80, 200])
def test_the_printed_figures_keep_every_name_and_fit_the_console(width):
    names = ("quadratic-weighted kappa", "sensitivity severe osteoporosis", "T-score lower limit of agreement")
    metrics = [Metric(name=name, value=-0.5, low=-0.75, high=-0.25) for name in names]
    subjects = ("image", *(f"baseline: {kind}" for kind in ("majority", "file format", "age and sex")))
    evaluations = [
        Evaluation(subject=subject, protocol="p", films=6, groups=6, metrics=metrics) for subject in subjects
    ]
    console = Console(file=io.StringIO(), width=width)
    fitted_on = FittedOn(films=25, groups=24, left_out={"operating points": "5 films are too few"})
    show(bare_card().model_copy(update={"evaluations": tuple(evaluations), "fitted_on": fitted_on}), console)
    text = console.file.getvalue()
    sentence, *lines = text.splitlines()  # the terminal wraps it
    assert "not been shown" in sentence
    assert max(map(len, lines)) <= width
    assert "…" not in text
    assert text.count("-0.500 [-0.750, -0.250]") == 12
    words = " ".join(text.replace("┃", " ").replace("│", " ").split())
    for name in (*names, *subjects):
        assert all(word in words for word in name.split())
    assert text.count("┏") == (2 if width == 80 else 1)
    assert "parameters fitted on 25 validation films" in text
    assert "no operating points: 5 films are too few" in text
