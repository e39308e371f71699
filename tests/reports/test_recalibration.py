"""Recalibration as users start it: a model folder that answers as its page says."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, knee_like
from huggingface_hub import ModelCard
from support.films import write_rows
from typer.testing import CliRunner

from osteolens.card import load_card
from osteolens.cli.root import app
from osteolens.datasets.films import read_films
from osteolens.datasets.fingerprints import read_training_films
from osteolens.inference.reader import Reader, Request
from osteolens.labels import LABELS


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 films of 60 patients."""
    folder, rows = tmp_path_factory.mktemp("site"), []
    for index in range(60):
        (folder / f"{index}.png").write_bytes(encoded(knee_like(100, 80, seed=300 + index)))
        patient = {"age": 40 + index % 3 * 12 + index % 7, "sex": "female" if index % 4 < 2 else "male"}
        rows.append({"file": f"{index}.png", "label": LABELS[index % 3], "t_score": -1.5 * (index % 3)} | patient)
    return write_rows(folder / "films.csv", rows)


@pytest.fixture(scope="module")
def out(model_folder: Path, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("recalibrated") / "here"
    done = run("recalibrate", model_folder, site, "--out", out, "--name", "knee_here", "--place", "Springfield, 2025")
    assert done.exit_code == 0, done.output
    assert "(knee_here 1.1)" in done.output
    return out


def test_the_new_folder_answers_with_the_numbers_on_its_card(out, model_folder, site):
    card = load_card(out / "model")
    assert (card.name, card.version, card.fitted_on.films) == ("knee_here", "1.1", 60)
    assert card.parent.card_sha256 == load_card(model_folder).sha256
    assert card.parent.place == "Springfield, 2025"
    assert (out / "model" / "weights.safetensors").read_bytes() == (model_folder / "weights.safetensors").read_bytes()
    film = read_films(site)[4]
    before, after = (
        Reader(folder).answer(Request(film.path.read_bytes(), {"explain": "none"}, "a"))
        for folder in (model_folder, out / "model")
    )
    assert after.model.version == "1.1"
    assert ModelCard.load(out / "model" / "README.md").data.model_name == "knee_here 1.1"
    assert after.probabilities != before.probabilities
    assert after.t_score.estimate == before.t_score.estimate
    assert after.t_score.interval_90 is not None


def test_the_page_shows_before_and_after(out):
    text = (out / "report.html").read_text()
    for part in (
        "knee_here 1.1: recalibrated on Springfield, 2025", "Before and after", "image, efficientnet 1.0",
        "after less before", "Calibration methods", "60 site films of 60 groups", "not recorded",
    ):  # fmt: skip
        assert part in text, part
    stored = json.loads((out / "recalibration.json").read_text())
    assert stored["before"]["evaluations"][0]["films"] == stored["after"]["evaluations"][0]["films"] == 60
    assert np.isfinite(stored["differences"][0]["metrics"][0]["value"])


def test_its_films_count_as_learned_from_and_the_list_says_that_the_parent_had_none(out, site, tmp_path):
    listed = read_training_films(out / "model", load_card(out / "model").weights_sha256)
    assert (len(listed.fingerprints), listed.complete) == (60, False)
    refused = run("evaluate", out / "model", site, "--out", tmp_path / "evaluation")
    assert refused.exit_code == 2
    assert "has learned from 60 of 60 films" in refused.output


def test_the_card_is_shown_with_its_parent(out):
    shown = " ".join(run("card", "show", out / "model").output.split())
    assert "recalibrated from" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("MODEL", "SITE", "--out", "OUT"), "holds a model already"),
        (("http://127.0.0.1:1/predictions/knee", "SITE", "--out", "NEW"), "name the model's folder or archive"),
        (("MODEL", "SITE", "--out", "NEW", "--name", "My Knee"), "is not a lower-case word"),
        (("MODEL", "FEW", "--out", "NEW"), "30 groups are too few to recalibrate on, at least 50 are needed"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(out, model_folder, site, table, tmp_path, arguments, message):
    places = {"MODEL": model_folder, "SITE": site, "OUT": out, "NEW": tmp_path / "new", "FEW": table}
    done = run("recalibrate", *(places.get(argument, argument) for argument in arguments))
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "new").exists()
