"""Corrected facts reach the stored predictions, the figures and the card."""

import json
from pathlib import Path

import pytest
from conftest import make_model_folder
from support.scripts import run_script
from support.simulated import simulate

from osteolens.card import load_card
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.predictions import read_predictions

SCRIPT = Path(__file__).parents[2] / "train" / "correct_facts.py"


@pytest.mark.parametrize("place", ["model", "elsewhere"])
def test_a_corrected_table_changes_predictions_figures_and_card(place, tmp_path):
    run = tmp_path / "run"
    folder = run / "model" if place == "model" else tmp_path / "weights"
    run.mkdir()
    make_model_folder(folder, side=64)
    predictions = simulate(films=60, repeats=1)
    predictions.write(run / "predictions.csv")
    lines = ["file,label,group,t_score,age,sex,weight_kg,height_m"]
    for index, film in enumerate(predictions.films):
        (tmp_path / film.file).touch()
        age = 99 if index == 0 else f"{film.age:.6g}"
        facts = f"{film.t_score:.6g},{age},{film.sex},{film.weight_kg:.6g},{film.height_m:.6g}"
        lines.append(f"{film.file},{film.label},{film.group},{facts}")
    table = tmp_path / "films.csv"
    table.write_text("\n".join(lines) + "\n")
    options = ["--data", table] + (["--model", folder] if place == "elsewhere" else [])
    process = run_script(SCRIPT, run, *options)
    assert process.returncode == 0, process.stderr
    assert "the facts of 1 of 60 films changed" in process.stdout
    stored = read_predictions(run / "predictions.csv")
    assert stored.films[0].age == 99
    evidence = evaluate(stored)
    assert load_card(folder).evaluations == evidence.evaluations
    metrics = run / "metrics.json"
    if place == "model":
        assert json.loads(metrics.read_text()) == evidence.dump()
    else:
        assert not metrics.exists()
