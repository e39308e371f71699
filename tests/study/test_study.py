"""One command from a table to an archive: planned first, stopped by leaks, and gone on with where it was."""

import csv
import html
import json
import zipfile
from pathlib import Path

import pytest
from conftest import encoded, knee_like
from rich.console import Console
from support.films import TINY, write_rows
from typer.testing import CliRunner

from osteolens.card import load_card
from osteolens.cli.root import app
from osteolens.console import Status
from osteolens.datasets.fingerprints import read_training_films
from osteolens.evidence import evidence_of
from osteolens.labels import LABELS
from osteolens.study import plan as planning
from osteolens.study.plan import duration, steps
from osteolens.study.run import audit_films
from osteolens.training.config import load_configuration
from osteolens.training.plan import plan


def start(table: Path, out: Path, settings_file: Path, *flags: str):
    settings_file.write_text(TINY.format(epochs=1).replace("validation = 0.2", "validation = 0.0"))
    arguments = [table, "--out", out, "--config", settings_file, "--folds", 2, "--jobs", 1, *flags]
    return CliRunner().invoke(app, ["study", *map(str, arguments)])


@pytest.mark.slow
@pytest.mark.usefixtures("few_trees")
def test_a_table_becomes_an_archive_and_the_plan_knows_what_is_done(table, tmp_path, settings_file):
    out = tmp_path / "mine"
    done = start(table, out, settings_file)
    assert done.exit_code == 0, done.output
    assert f"osteolens serve --model-store {out / 'model_store'}" in " ".join(done.output.split())
    assert "| 2 | cross-validation | trains 2 models for at most 1 epochs" in (out / "plan.md").read_text()
    card = load_card(out / "run" / "model")
    assert (card.name, card.data.films) == ("mine", {"cross-validated": 30})
    assert "Research" in (out / "run" / "model" / "README.md").read_text()
    assert "Do the heat maps" not in (out / "run" / "report.html").read_text()
    assert json.loads((out / "audit" / "audit.json").read_text())["leaks"] is False
    parity = json.loads((out / "parity.json").read_text())
    assert parity["films"] >= 16
    assert parity["largest difference of a probability or T-score"] < 1e-4
    with zipfile.ZipFile(out / "model_store" / "mine.mar") as archive:
        names = set(archive.namelist())
    assert {"card.json", "training_films.json", "model.onnx", "familiarity.safetensors"} <= names
    assert "gate.onnx" not in names, "squares are no knees, and a gate for knees would refuse them all"
    # What is said of the model before any figure, on every page and on the screen, is what its answers lead with.
    leading = evidence_of(card).leading
    assert leading in " ".join(done.output.split())
    for page, figures in (("README.md", "## Figures"), ("../report.html", "In plain words")):
        text = html.unescape((out / "run" / "model" / page).read_text())
        assert text.index(leading) < text.index(figures), page
    planned = start(table, out, settings_file, "--plan")
    assert planned.exit_code == 0, planned.output
    text = (out / "plan.md").read_text()
    assert "`audit/` | done |" in text
    assert "`run/, run/model/` | done |" in text
    assert len(read_training_films(out / "run" / "model", card.weights_sha256).fingerprints) == 30


def test_only_the_plan_is_written_where_only_it_is_wanted(table, tmp_path, settings_file):
    with table.open() as stream:  # by label: then a first batch has films of one label only
        write_rows(table, sorted(csv.DictReader(stream), key=lambda row: row["label"]))
    out = tmp_path / "mine"
    done = start(table, out, settings_file, "--plan")
    assert done.exit_code == 0, done.output
    assert [path.name for path in out.iterdir()] == ["plan.md"]
    text = (out / "plan.md").read_text()
    assert "30 films of 30 groups (normal: 10, osteopenia: 10, osteoporosis: 10)" in text
    assert "2 folds by group" in text
    assert "| 6 | archive |" in text


@pytest.mark.usefixtures("few_trees")
def test_the_same_film_in_two_groups_stops_it_before_anything_is_trained(tmp_path, settings_file):
    rows = []
    for index in range(24):
        seed = 400 + (index if index != 23 else 4)
        (tmp_path / f"{index}.png").write_bytes(
            encoded(knee_like(120, 96, seed=seed), "PNG" if index != 23 else "JPEG")
        )
        rows.append({"file": f"{index}.png", "label": LABELS[index % 3], "group": f"g{index}"})
    rows[23]["label"] = rows[4]["label"]  # or another finding would be first
    table = write_rows(tmp_path / "films.csv", rows)
    done = start(table, tmp_path / "out", settings_file)
    assert done.exit_code == Status.FINDINGS, done.output
    assert "1 pair of pictures of the same film is in different groups" in done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"plan.md", "audit"}
    # Rows that are not trained on are not audited either.
    with table.open() as stream:
        rows = [row | {"bad": int(row["file"] == "23.png")} for row in csv.DictReader(stream)]
    write_rows(table, rows)
    settings_file.write_text(TINY.format(epochs=1))
    config = load_configuration(settings_file)
    config = config.model_copy(update={"data": config.data.model_copy(update={"skip": "bad"})})
    found = plan(config, table, folds=2, repeats=1, table=None, by_source=False)
    audit_films(table, found.films, tmp_path / "out", "identity", Console(quiet=True))
    assert json.loads((tmp_path / "out" / "study.json").read_text()) == {"audited": "identity"}


def test_times_follow_from_films_and_steps(table, settings_file, monkeypatch):
    monkeypatch.setattr(planning, "_time_looking", lambda _: 0.5)
    monkeypatch.setattr(planning, "_time_epoch", lambda *_: 12.0)
    settings_file.write_text(TINY.format(epochs=4))
    config = load_configuration(settings_file)
    folds = plan(config, table, folds=3, repeats=2, table=None, by_source=False)
    named = {step.name: step.seconds for step in steps(config, folds, ensemble=False)}
    assert named["audit"] == 0.5 * 30 * 3 + 5
    assert named["cross-validation"] == pytest.approx(0.5 * 30 + 12 * 4 * (6 * 2 / 3 + 1))
    ensemble = {step.name: step.seconds for step in steps(config, folds, ensemble=True)}
    assert ensemble["cross-validation"] == pytest.approx(0.5 * 30 + 12 * 4 * 6 * 2 / 3)
    assert [duration(seconds) for seconds in (0.2, 40, 720, 12600)] == ["1 s", "40 s", "12 min", "3.5 h"]
