"""A cross-validation as users start it: evidence, a model folder that answers, facts."""

import csv
import json

import numpy as np
import pytest
from support.films import TINY, write_rows
from support.training import InThisProcess

from osteolens import models
from osteolens.card import BEYOND_ACQUISITION, load_card
from osteolens.datasets.fingerprints import read_training_films
from osteolens.errors import DataError
from osteolens.evaluation.evaluate import evaluate
from osteolens.evaluation.predictions import read_predictions
from osteolens.labels import label_from_t_score
from osteolens.training.config import load_configuration
from osteolens.training.cross_run import run


def start(settings_file, table, out, quiet, name="squares", **flags):
    settings_file.write_text(TINY.format(epochs=1).replace("validation = 0.2", "validation = 0.0"))
    chosen = {"folds": 3, "repeats": 1, "table": None, "by_source": False, "jobs": 2, "ensemble": False} | flags
    chosen["executor"] = InThisProcess()
    return run(load_configuration(settings_file), table, out, name=name, console=quiet, **chosen)


@pytest.mark.slow
def test_a_run_leaves_evidence_and_a_model_with_its_parameters(settings_file, table, tmp_path, quiet):
    out = tmp_path / "out"
    card = start(settings_file, table, out, quiet)
    assert load_card(out / "model") == card
    assert card.data.films == {"cross-validated": 30} == card.data.groups

    assert len(read_training_films(out / "model", card.weights_sha256).fingerprints) == 30

    evidence = evaluate(read_predictions(out / "predictions.csv"))
    assert card.calibration == evidence.parameters.calibration
    assert card.operating_points == evidence.parameters.operating_points
    assert [entry.subject for entry in card.evaluations] == [entry.subject for entry in evidence.evaluations]
    assert json.loads((out / "metrics.json").read_text()) == evidence.dump()

    facts = json.loads((out / "run.json").read_text())
    assert (facts["films"], facts["folds"], facts["repeats"], facts["ensemble"]) == (30, 3, 1, False)
    logged = [csv.DictReader((out / f"r0f{fold}" / "log.csv").open()) for fold in range(3)]
    assert facts["seconds"] == round(sum(float(row["seconds"]) for rows in logged for row in rows))
    model, _ = models.load(out / "model")
    assert isinstance(model, models.KneeModel)

    # The folds are there already: only the model to ship is trained again.
    ensemble = start(settings_file, table, out, quiet, ensemble=True)
    assert len(ensemble.members) == 3
    members, _ = models.load(out / "model")
    assert isinstance(members, models.Ensemble)
    assert [row.subject for row in ensemble.evaluations] == [row.subject for row in card.evaluations]
    assert "not the ensemble of 3 that is shipped" in ensemble.evaluations[0].protocol
    assert np.isclose(ensemble.evaluations[0].metrics[0].value, card.evaluations[0].metrics[0].value)


@pytest.mark.slow
def test_a_null_run_through_the_same_command_gives_a_half_within_its_interval(settings_file, table, tmp_path, quiet):
    """Labels and T-scores dealt out at random: nothing that the command writes may call that knowledge."""
    scores = np.random.default_rng(2).permutation(np.linspace(-3.5, 0, 30))
    dealt = rewritten(
        table, 30, label=lambda row: label_from_t_score(scores[row]), t_score=lambda row: f"{scores[row]:.2f}"
    )
    card = start(settings_file, dealt, tmp_path / "out", quiet)
    subjects = {each.subject for each in card.evaluations}
    assert {"image", "baseline: acquisition", BEYOND_ACQUISITION} <= subjects
    for subject in subjects:
        for name, area in card.figures(subject).items():
            if name.startswith(("AUROC normal", "AUROC osteoporosis")):
                assert area.low <= 0.5, (subject, name)
                # Baselines on 30 films rank below 0.5 across folds: what tells nothing is learnt the wrong way round.
                assert subject != "image" or area.high >= 0.5, name
    assert card.operating_points is None


def test_a_name_that_cannot_be_served_is_refused_before_anything_is_read(settings_file, tmp_path, quiet):
    with pytest.raises(DataError, match="not a lower-case word"):
        start(settings_file, tmp_path / "missing.csv", tmp_path / "out", quiet, name="My Knee")


def rewritten(table, count, **columns):
    """The first films of the table with other cells: a function of the row's number for each column."""
    with table.open() as stream:
        rows = list(csv.DictReader(stream))[:count]
    return write_rows(
        table, [row | {name: value(index) for name, value in columns.items()} for index, row in enumerate(rows)]
    )


@pytest.mark.parametrize(
    ("count", "columns", "flags", "message"),
    [
        (6, {}, {"folds": 2}, "6 groups are too few to evaluate, expected at least 10"),
        (
            30,
            {"group": lambda index: f"g{index // 2}", "source": lambda index: "north" if index < 15 else "south"},
            {"by_source": True},
            "group 'g7' is in the sources 'north' and 'south'",
        ),
        (
            30,
            {"source": lambda index: "north" if index % 3 == 2 or index < 6 else "south"},
            {"by_source": True},
            "no film outside fold 0 is left to train the label 'osteoporosis' on",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_training(
    settings_file, table, tmp_path, quiet, count, columns, flags, message
):
    rewritten(table, count, **columns)
    with pytest.raises(DataError, match=message):
        start(settings_file, table, tmp_path / "out", quiet, **flags)
    assert not (tmp_path / "out").exists()


def test_a_model_that_cannot_be_built_is_refused_before_a_film_is_read(
    settings_file, table, tmp_path, quiet, monkeypatch
):
    monkeypatch.setattr("osteolens.training.cross_validation.load_films", lambda *_: pytest.fail("films were read"))
    text = TINY.format(epochs=1).replace("pretrained = false", "pretrained = true")
    settings_file.write_text(text.replace("test_efficientnet", "yolov5s"))
    config = load_configuration(settings_file)
    flags = {"folds": 3, "repeats": 1, "table": None, "by_source": False, "jobs": 1, "ensemble": False}
    with pytest.raises(DataError, match="there are no weights to start yolov5s from"):
        run(config, table, tmp_path / "out", name="squares", console=quiet, **flags)
