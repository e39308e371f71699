"""Labels whose order decides figures, losses and triage: known, numbers, configured, or refused."""

import csv

import numpy as np
import pytest
from support.films import TINY, film, write_rows

from osteolens.datasets.films import read_films
from osteolens.errors import DataError
from osteolens.evaluation.calibration import Rows, fit_operating_points
from osteolens.evaluation.evaluate import check
from osteolens.evaluation.predictions import Predictions, read_predictions
from osteolens.labels import have_order, in_order, label_order
from osteolens.training.config import load_configuration
from osteolens.training.fit import fit
from osteolens.training.plan import plan

GRADES = ("none", "mild", "moderate", "severe")


def renamed(table, names):
    """The table of films with other labels, in turn."""
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    plain = [{key: row[key] for key in ("file", "group")} for row in rows]
    return write_rows(table, [row | {"label": names[index % len(names)]} for index, row in enumerate(plain)])


def configured(settings_file, line="", **optimisation):
    text = TINY.format(epochs=1) + "".join(f"{key} = {value}\n" for key, value in optimisation.items())
    settings_file.write_text(text.replace("[data]\n", f"[data]\n{line}\n"))
    return load_configuration(settings_file)


def predictions(labels, ordered=True):
    films = [film(label, f"g{index}", t_score=0.0) for index, label in enumerate(labels * 12)]
    count = len(films)
    return Predictions(
        labels=tuple(labels),
        films=films,
        fold=(np.arange(count) % 3)[None],
        logits=np.random.default_rng(0).normal(size=(1, count, len(labels))),
        t_score=np.full((1, count), np.nan),
        ordered=ordered,
    )


@pytest.mark.parametrize(
    ("labels", "order", "known"),
    [
        (["Osteoporosis", "normal", "Osteopenia"], ("normal", "Osteopenia", "Osteoporosis"), True),
        (
            ["severe osteoporosis", "osteoporosis", "normal", "osteopenia"],
            ("normal", "osteopenia", "osteoporosis", "severe osteoporosis"),
            True,
        ),
        (["10", "2", "1"], ("1", "2", "10"), True),
        (GRADES, ("mild", "moderate", "none", "severe"), False),
        (["normal", "2"], ("normal", "2"), False),
    ],
)
def test_the_order_that_names_say(labels, order, known):
    assert in_order(labels) == order
    assert have_order(labels) is known


def test_an_unknown_order_is_refused_with_the_line_to_add(settings_file, table, tmp_path, quiet):
    renamed(table, GRADES)
    line = r'add to \[data\] the line labels = \["mild", "moderate", "none", "severe"\], sorted from least'
    with pytest.raises(DataError, match=line):
        plan(configured(settings_file), table, folds=3, repeats=1, table=None, by_source=False)
    with pytest.raises(DataError, match=line):
        fit(configured(settings_file), table, tmp_path / "out", name="a", restart=False, trial=False, console=quiet)
    assert not (tmp_path / "out").exists()


def test_the_configuration_says_the_order(settings_file, table):
    renamed(table, GRADES)
    config = configured(settings_file, f"labels = {list(GRADES)}")
    assert plan(config, table, folds=3, repeats=1, table=None, by_source=False).labels == GRADES


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (("none", "mild"), "data.labels names none, mild, the films have the labels mild, none, severe"),
        (("none", "mild", "mild", "severe"), "name each of those once"),
    ],
)
def test_an_order_that_does_not_fit_the_films(order, message):
    with pytest.raises(DataError, match=message):
        label_order(["none", "mild", "severe"], order)


def test_known_labels_stay_in_their_order():
    labels = ["normal", "osteoporosis", "fracture"]
    assert label_order(labels, ("normal", "fracture", "Osteoporosis")) == ("normal", "fracture", "osteoporosis")
    with pytest.raises(DataError, match="from least to most severe it is normal, osteoporosis"):
        label_order(labels, ("osteoporosis", "normal", "fracture"))


def test_a_capital_keeps_the_triage(table):
    renamed(table, ["Normal", "Osteopenia ", "OSTEOPOROSIS"])
    assert label_order(film.label for film in read_films(table)) == ("normal", "osteopenia", "osteoporosis")
    for labels in (["Normal", "Osteopenia", "Osteoporosis"], ["normal", "osteopenia", "osteoporosis"]):
        rows = Rows(predictions(labels), np.ones((1, 36), bool))
        points = fit_operating_points(rows, np.eye(3)[rows.truth])
        assert points is not None
        assert points.label == labels[2]


def test_severe_osteoporosis_may_be_added_and_counts_as_osteoporosis(table):
    renamed(table, ["normal", "osteopenia", "osteoporosis", "severe osteoporosis"])
    labels = label_order(film.label for film in read_films(table))
    assert labels == ("normal", "osteopenia", "osteoporosis", "severe osteoporosis")
    # Every film is sure of its own label: all of the two worst score 1 for osteoporosis and above, the others 0.
    rows = Rows(predictions(list(labels)), np.ones((1, 48), bool))
    points = fit_operating_points(rows, np.eye(4)[rows.truth])
    assert (points.high_sensitivity.sensitivity, points.high_sensitivity.specificity) == (1, 1)


def test_a_slip_beside_known_labels_is_still_refused(table):
    renamed(table, ["normal", "osteoporose"])
    with pytest.raises(DataError, match="unknown label 'osteoporose'; use normal, osteopenia"):
        read_films(table)
    assert len(read_films(table, labels=("normal", "osteoporose"))) == 30


def test_a_table_of_predictions_keeps_its_order(tmp_path):
    predictions(list(GRADES)).write(tmp_path / "ordered.csv")
    again = read_predictions(tmp_path / "ordered.csv")
    assert again.labels == GRADES
    assert again.ordered
    check(again)


def test_a_table_without_an_order_is_not_evaluated(tmp_path):
    path = tmp_path / "old.csv"
    predictions(["mild", "moderate", "none", "severe"], ordered=False).write(path)
    with pytest.raises(DataError, match="which of the labels mild, moderate, none, severe is worse"):
        check(read_predictions(path))


def test_a_table_with_grades_sorted_as_text_is_read_in_their_order(tmp_path):
    old = predictions(["1", "10", "2"])
    old.write(tmp_path / "old.csv")
    again = read_predictions(tmp_path / "old.csv")
    assert again.labels == ("1", "2", "10")
    np.testing.assert_allclose(again.logits, old.logits[..., [0, 2, 1]], rtol=1e-5)
