"""The reader of persons: cohort, loss, training, figures and folder, on knees of flat grey."""

import csv
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from rich.console import Console
from support.training import configuration

from osteolens.errors import CardError, DataError
from osteolens.models.people import AGE, BMI, FEMALE, Scale, load_reader, prepare_knee
from osteolens.training.config import Configuration
from osteolens.training.engine import train_one_epoch
from osteolens.training.people import People, PeopleLoss, read_people
from osteolens.training.people_run import build_learner, figures, fit_people, page, people_batches, spread

SHIPPED = ROOT / "weights" / "knee_people"
ROWS = [
    ("1a.png", "1", "train", "female", "50", "25", "1", "0"),
    ("1b.png", "1", "train", "female", "50", "25", "1", "2"),
    ("2.png", "2", "train", "male", "70", "35", "1", "4"),
    ("3.png", "3", "train", "male", "60", "", "0", "1"),
    ("4.png", "4", "val", "female", "55", "30", "", "3"),
    ("5.png", "5", "val", "male", "65", "28", "0", "0"),
]


def write_cohort(folder: Path, rows: list[tuple[str, ...]]) -> Path:
    for number, row in enumerate(rows):
        picture = np.random.default_rng(number).integers(0, 255, (64, 64), dtype=np.uint8)
        assert cv2.imwrite(str(folder / row[0]), picture)
    with (folder / "knees.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "person", "split", "sex", "age", "bmi", "bisphosphonate_baseline", "kl"))
        writer.writerows(rows)
    return folder / "knees.csv"


def small(epochs: int) -> Configuration:
    return configuration(
        model={"pretrained": False, "frozen_blocks": 2},
        preprocess={"height": 32, "width": 32, "crop_borders": False},
        optimisation={"epochs": epochs, "batch_size": 2, "warmup_epochs": 0.0, "head_factor": 5.0},
    )


def people(facts: list[tuple[float, ...]], persons: list[str]) -> People:
    count = len(facts)
    return People(
        persons, persons, np.ones(count, bool), np.array(facts, np.float32), np.zeros((count, 1, 32, 32), np.uint8)
    )


def test_facts_are_read_and_unknown_ones_are_nan(tmp_path):
    cohort = read_people(write_cohort(tmp_path, ROWS), small(1), Console(quiet=True))
    assert cohort.facts[:2].tolist() == [[1, 50, 25, 1, 0], [1, 50, 25, 1, 2]]
    assert np.isnan(cohort.facts).nonzero()[0].tolist() == [2, 3, 3, 4, 5]  # men's use, an empty BMI, an empty use
    assert cohort.held_out.tolist() == [False] * 4 + [True] * 2
    assert cohort.among(held_out=True).files == ["4.png", "5.png"]
    knee = cv2.imread(str(tmp_path / "5.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(cohort.pictures[5], prepare_knee(knee, small(1).preprocess))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("6.png", "1", "val", "female", "50", "25", "0", "0"), "1 are on both sides"),
        (("6.png", "6", "val", "woman?", "50", "25", "0", "0"), "line 8"),
        (("6.png", "6", "val", "female", "old", "25", "0", "0"), "line 8.*old"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read_people(write_cohort(tmp_path, [*ROWS, row]), small(1), Console(quiet=True))


def test_loss_counts_known_facts_only():
    loss = PeopleLoss(age=Scale(mean=60, deviation=10), bmi=Scale(mean=28, deviation=5))
    nan, nothing = math.nan, torch.full((1,), math.nan)
    outputs = torch.zeros(1, 9)
    woman = torch.tensor([[1.0, 70, nan, nan, 3]])
    # ln 2 for the sex, 1 for an age of one deviation above the mean, half of ln 5 for the grade.
    expected = math.log(2) + 1 + math.log(5) / 2
    assert loss(outputs, nothing, woman, nothing).item() == pytest.approx(expected)
    assert loss(outputs, nothing, torch.full((1, 5), nan), nothing).item() == 0
    taken = torch.tensor([[1.0, 70, 33, 1, 3]])  # half of 1 for the BMI, half of ln 2 for the use
    assert loss(outputs, nothing, taken, nothing).item() == pytest.approx(expected + 0.5 + math.log(2) / 2)


def test_figures_and_spread_of_scores():
    nan = math.nan
    facts = [(1, 50, 25, 1, 0), (1, 60, 25, 0, 1), (0, 70, 25, nan, 2), (0, 80, 25, nan, 3)]
    cohort = people(facts, ["a", "b", "c", "d"])
    outputs = np.zeros((4, 9))
    outputs[:, FEMALE] = 3, 1, 2, 0
    outputs[:, AGE] = 55, 60, 65, 70  # half the true differences
    outputs[:, BMI] = 24, 26, 27, 23
    outputs[range(4), [4, 5, 6, 7]] = 1  # every grade is right
    values = {metric.name: metric.value for metric in figures(outputs, cohort)}
    assert values["AUROC sex"] == 0.75  # 3 of 4 pairs
    assert values["age Pearson r"] == pytest.approx(1)
    assert values["age mean absolute error"] == pytest.approx(5)  # 5, 0, 5, 10
    assert values["BMI mean absolute error"] == pytest.approx(1.5)
    assert values["grade, quadratic-weighted kappa"] == 1
    summary = spread(outputs, cohort)
    assert (summary.women[0], summary.women[50], summary.women[100]) == (1, 2, 3)
    assert (summary.men[0], summary.men[100]) == (0, 2)
    assert summary.age_slope == pytest.approx(0.5)
    assert summary.age_intercept == pytest.approx(30)


def test_both_knees_of_a_person_count_once():
    facts = [(1, 50, 25, 0, 0), (1, 50, 25, 0, 0), (0, 50, 25, math.nan, 0)]
    outputs = np.zeros((3, 9))
    outputs[:, FEMALE] = -1, 3, 0  # one of two knees ranks below the man's, their mean above
    values = {metric.name: metric.value for metric in figures(outputs, people(facts, ["a", "a", "b"]))}
    assert values["AUROC sex"] == 0.5
    assert values["AUROC sex, mean of a person's knees"] == 1


def test_a_run_goes_on_and_its_folder_is_read_again(tmp_path):
    cohort = read_people(write_cohort(tmp_path, ROWS), small(1), Console(quiet=True))
    with (tmp_path / "console.txt").open("w") as text:
        fit_people(small(1), cohort, tmp_path / "run", Console(file=text))
        card = fit_people(small(2), cohort, tmp_path / "run", Console(file=text))
    assert "going on after epoch 1 of 2" in (tmp_path / "console.txt").read_text()
    assert card.data.films == {"train": 4, "test": 2}
    assert (card.age.mean, card.bmi.mean) == (pytest.approx(57.5), pytest.approx(85 / 3))
    reader = load_reader(tmp_path / "run" / "model")
    assert reader.card == card
    outputs, pooled = reader.read(cohort.pictures)
    mirrored, _ = reader.read(cohort.pictures[..., ::-1].copy(), batch_size=4)
    assert outputs == pytest.approx(mirrored, abs=1e-3)
    assert pooled.shape == (6, 1280)
    assert 20 < outputs[:, AGE].mean() < 95  # years, not deviations
    page = (tmp_path / "run" / "model" / "README.md").read_text()
    assert card.weights_sha256 in page
    assert "4 knees of 3 persons" in page
    (tmp_path / "run" / "model" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(CardError, match=r"not the file that people\.json names"):
        load_reader(tmp_path / "run" / "model")
    with pytest.raises(CardError, match="no reader of persons"):
        load_reader(tmp_path)


def test_the_shipped_reader_reads_as_it_was_shipped_and_its_page_is_its_card_s():
    reader = load_reader(SHIPPED)
    rows, columns = np.mgrid[0:224, 0:224]
    shaft, joint = np.exp(-(((columns - 112) / 60) ** 4)), 1 - 0.6 * np.exp(-(((rows - 120) / 6) ** 2))
    knee = (60 + 120 * shaft * joint + 10 * np.sin(columns / 2) * np.cos(rows / 3)).round().astype(np.uint8)
    outputs, _ = reader.read(prepare_knee(knee, reader.card.preprocess)[None])
    assert outputs[0] == pytest.approx(
        [-0.6451, 64.9852, 28.1833, -0.1875, -1.3463, -2.4687, -1.943, 0.8559, 2.0661], abs=2e-3
    )
    assert (SHIPPED / "README.md").read_text() == page(reader.card)
    values = {metric.name: metric.value for metric in reader.card.metrics}
    assert values["AUROC sex"] >= 0.975
    assert values["age Pearson r, mean of a person's knees"] >= 0.6


def test_frozen_parts_keep_weights_and_statistics(tmp_path):
    cohort = read_people(write_cohort(tmp_path, ROWS), small(1), Console(quiet=True)).among(held_out=False)
    learner = build_learner(small(1), cohort, PeopleLoss(Scale(mean=60, deviation=10), Scale(mean=28, deviation=5)))
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    train_one_epoch(learner, people_batches(small(1), cohort, 0), 0, lambda _: None)
    changed = {name for name, value in learner.model.state_dict().items() if not torch.equal(value, before[name])}
    frozen = ("backbone.conv_stem", "backbone.bn1", "backbone.blocks.0", "backbone.blocks.1")
    assert not [name for name in changed if name.startswith(frozen)]
    assert {
        "backbone.blocks.2.0.conv_pw.weight",
        "backbone.blocks.2.0.bn1.running_mean",
        "classifier.weight",
    } <= changed
