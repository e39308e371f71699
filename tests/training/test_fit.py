"""Whole runs, and the script as users start it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from support.films import TINY, save_film
from support.scripts import run_script

from osteolens import models
from osteolens.card import load_card
from osteolens.datasets.fingerprints import look, read_training_films
from osteolens.errors import DataError
from osteolens.training.config import load_configuration
from osteolens.training.fit import fit

SCRIPT = Path(__file__).parents[2] / "train" / "fit.py"
WEIGHTS = Path("model", "weights.safetensors")
EPOCHS = 15
"""So many that a process is killed before the last, however late the test sees the first."""


@pytest.fixture
def one_thread() -> Iterator[dict[str, str]]:
    """The variables that make a process compute with one thread, as this one does meanwhile: sums round alike."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield {"OMP_NUM_THREADS": "1"}
    torch.set_num_threads(before)


def run(settings_file, table, out, quiet, name="squares", **flags):
    flags = {"restart": False, "trial": False} | flags
    return fit(load_configuration(settings_file), table, out, name=name, console=quiet, **flags)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def arguments(settings_file, table, out):
    return ["--config", settings_file, "--data", table, "--out", out]


@pytest.mark.slow
def test_a_run_learns_and_leaves_its_evidence(settings_file, table, tmp_path, quiet):
    # Batch norms need many small steps to forget ImageNet; until then the validation loss rises.
    settings_file.write_text(TINY.format(epochs=40).replace("2e-3", "3e-3") + "patience = 40\n")
    out = tmp_path / "out"
    card = run(settings_file, table, out, quiet)

    figures = {metric.name: metric.value for metric in card.evaluations[0].metrics}
    assert figures["balanced accuracy"] >= 0.6  # chance is 0.33; six films, and processors round differently
    assert figures["T-score MAE"] < 1.0
    assert load_card(out / "model") == card
    assert [entry.subject for entry in card.evaluations] == [
        "image",
        "baseline: majority",
        "baseline: acquisition",
        "baseline: age and sex",
        "image beyond acquisition",
    ]
    assert card.data.films == {"train": 18, "validation": 6, "test": 6} == card.data.groups
    assert {entry.films for entry in card.evaluations} == {6}
    stored = json.loads((out / "metrics.json").read_text())["evaluations"]
    assert stored[0]["metrics"][0]["name"] == "accuracy"
    assert card.fitted_on.films == 6
    assert card.fitted_on.left_out["calibration"].startswith("6 groups of validation films are too few")

    table_of_films = table
    table, split = rows(out / "predictions.csv"), rows(out / "split.csv")
    assert {row["file"]: row["part"] for row in table} == {row["file"]: row["part"] for row in split}
    # Validation films chose the epoch, so they are listed; held-out films are not.
    learned = read_training_films(out / "model", card.weights_sha256)
    films = look(table_of_films.parent / row["file"] for row in split)
    assert [split[number]["part"] != "test" for number in range(30)] == [
        number in learned.recognise(*films) for number in range(30)
    ]
    predictions = [row for row in table if row["part"] == "test"]
    right = [max(card.labels, key=lambda label: float(row[f"logit_{label}"])) == row["label"] for row in predictions]
    assert sum(right) / 6 == pytest.approx(figures["accuracy"])

    model, _ = models.load(out / "model")
    assert model.has_t_score
    assert len(rows(out / "log.csv")) == 40
    assert (out / "curves.png").is_file()


@pytest.mark.slow
def test_a_trial_leaves_the_held_out_films_unread(settings_file, table, tmp_path, quiet):
    out = tmp_path / "out"
    trial = run(settings_file, table, out, quiet, trial=True)
    parts = {row["file"]: row["part"] for row in rows(out / "split.csv")}
    assert {parts[row["file"]] for row in rows(out / "predictions.csv")} == {"train", "validation"}
    assert "a trial" in trial.evaluations[0].protocol
    assert trial.trial
    epochs = (out / "log.csv").read_text()

    final = run(settings_file, table, out, quiet)
    assert (out / "log.csv").read_text() == epochs
    assert final.weights_sha256 == trial.weights_sha256
    assert not final.trial
    assert {parts[row["file"]] for row in rows(out / "predictions.csv")} == {"train", "validation", "test"}
    assert "held-out groups" in final.evaluations[0].protocol


@pytest.mark.slow
def test_a_seed_decides_the_weights(settings_file, table, tmp_path, quiet):
    settings_file.write_text(TINY.format(epochs=2))
    hashes = [run(settings_file, table, tmp_path / name, quiet).weights_sha256 for name in ("a", "b")]
    settings_file.write_text(TINY.format(epochs=2) + "[run]\nseed = 1\n")
    hashes.append(run(settings_file, table, tmp_path / "c", quiet).weights_sha256)
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashes[2]


@pytest.mark.slow
def test_a_run_with_other_settings_or_films_is_refused_unless_restarted(settings_file, table, tmp_path, quiet):
    out = tmp_path / "out"
    settings_file.write_text(TINY.format(epochs=1))
    run(settings_file, table, out, quiet)
    settings_file.write_text(TINY.format(epochs=2).replace("2e-3", "1e-3"))
    with pytest.raises(DataError, match=r"optimisation\.learning_rate was 0\.002 and is 0\.001"):
        run(settings_file, table, out, quiet)
    run(settings_file, table, out, quiet, restart=True)
    assert len(rows(out / "log.csv")) == 2
    save_film(tmp_path / "0.png", 90, seed=7)
    with pytest.raises(DataError, match="pictures differ; use another --out"):
        run(settings_file, table, out, quiet)


@pytest.mark.slow
def test_more_epochs_go_on_where_the_run_stopped(settings_file, table, tmp_path, quiet):
    out = tmp_path / "out"
    settings_file.write_text(TINY.format(epochs=1))
    run(settings_file, table, out, quiet)
    [first] = rows(out / "log.csv")
    settings_file.write_text(TINY.format(epochs=2).replace("Squares", "Other name") + "[run]\nworkers = 1\n")
    card = run(settings_file, table, out, quiet)
    assert rows(out / "log.csv")[0] == first
    assert len(rows(out / "log.csv")) == 2
    assert card.data.name == "Other name"
    settings_file.write_text(TINY.format(epochs=1))
    with pytest.raises(DataError, match=r"optimisation\.epochs was 2 and is 1"):
        run(settings_file, table, out, quiet)


@pytest.mark.slow
def test_a_killed_run_goes_on_exactly(settings_file, table, tmp_path, one_thread):
    settings_file.write_text(TINY.format(epochs=EPOCHS) + f"patience = {EPOCHS}\n")
    command = [sys.executable, SCRIPT, *arguments(settings_file, table, tmp_path / "killed")]
    killed = subprocess.Popen(command, env=os.environ | one_thread, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    while not checkpoint.exists():
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.01)
    time.sleep(0.05)  # into another epoch
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    with safe_open(checkpoint, framework="pt") as stored:
        assert 0 < len(json.loads(stored.metadata()["facts"])["history"]) < EPOCHS

    for name in ("whole", "killed"):
        done = run_script(SCRIPT, *arguments(settings_file, table, tmp_path / name))
        assert done.returncode == 0, done.stderr
    assert "going on after epoch" in done.stdout
    assert (tmp_path / "killed" / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    ours, theirs = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("killed", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_name_that_cannot_be_served(settings_file, table, tmp_path, quiet):
    with pytest.raises(DataError, match="'My Model' is not a lower-case word"):
        run(settings_file, table, tmp_path / "out", quiet, name="My Model")


def test_a_trial_needs_validation_films(settings_file, table, tmp_path, quiet):
    settings_file.write_text(TINY.format(epochs=1).replace("validation = 0.2", "validation = 0.0"))
    with pytest.raises(DataError, match=r"a trial scores the validation films, and data\.validation = 0 leaves none"):
        run(settings_file, table, tmp_path / "out", quiet, trial=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_error_is_one_line_and_exit_status_2(settings_file, tmp_path):
    done = run_script(SCRIPT, *arguments(settings_file, tmp_path / "none.csv", tmp_path / "out"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_help_names_every_option():
    help_text = run_script(SCRIPT, "--help").stdout
    for option in ("--config", "--data", "--out", "--name", "--restart", "--trial"):
        assert option in help_text
