from dataclasses import replace

import numpy as np
import pytest
from support.films import film

from osteolens.errors import DataError
from osteolens.evaluation.predictions import Predictions, average, read_predictions
from osteolens.inference.calibration import softmax

LABELS = ("normal", "osteoporosis")


def predictions(logits=((0.0, 1.0), (2.0, -1.0)), t_score=(-1.5, float("nan"))) -> Predictions:
    films = [
        replace(film("normal", "g1", t_score=-0.5, age=40.0, sex="female", source="north", family="A"), file="a.png"),
        replace(film("osteoporosis", "g2"), file="b.png"),
    ]
    return Predictions(LABELS, films, np.array([[0, 1]]), np.array([logits]), np.array([t_score]))


def test_what_is_written_is_read(tmp_path):
    table = predictions()
    table.write(tmp_path / "predictions.csv")
    stored = read_predictions(tmp_path / "predictions.csv")
    assert stored.labels == LABELS
    assert stored.fold.tolist() == [[0, 1]]
    np.testing.assert_array_equal(stored.logits, table.logits)
    np.testing.assert_array_equal(stored.t_score, table.t_score)
    np.testing.assert_array_equal(stored.measured, [-0.5, np.nan])
    assert stored.truth.tolist() == [0, 1]
    first = stored.films[0]
    assert (first.file, first.group, first.age, first.sex) == ("a.png", "g1", 40.0, "female")
    assert (first.source, first.family) == ("north", "A")


def test_the_average_is_the_mean_probability(tmp_path):
    first, other = predictions(), predictions(logits=((3.0, 3.0), (0.0, 0.0)), t_score=(-2.5, float("nan")))
    both = average([first, other])
    expected = (softmax(first.logits) + softmax(other.logits)) / 2
    np.testing.assert_allclose(softmax(both.logits), expected)
    assert both.t_score[0, 0] == -2.0


def test_tables_of_other_folds_are_not_averaged():
    other = replace(predictions(), fold=np.array([[1, 0]]))
    with pytest.raises(DataError, match="not about the same"):
        average([predictions(), other])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("repeat,", "round,", "repeat"), ("2", "two", "two"), ("logit_", "score_", "is not a table of predictions")],
)
def test_a_table_that_is_something_else_is_refused(tmp_path, old, new, message):
    path = tmp_path / "predictions.csv"
    predictions().write(path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        read_predictions(path)


def test_a_repeat_that_lacks_a_film_is_refused(tmp_path):
    table = predictions()
    twice = replace(
        table,
        fold=np.repeat(table.fold, 2, axis=0),
        logits=np.repeat(table.logits, 2, axis=0),
        t_score=np.repeat(table.t_score, 2, axis=0),
    )
    path = tmp_path / "predictions.csv"
    twice.write(path)
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(DataError, match="same films"):
        read_predictions(path)


def test_together_is_the_mean_probability_of_the_repeats():
    logits = np.log(np.array([[[0.2, 0.3, 0.5]], [[0.6, 0.3, 0.1]]]))
    both = Predictions(LABELS, [film("normal")], np.array([[0], [3]]), logits, np.array([[-1.0], [-2.0]])).together()
    assert both.fold.tolist() == [[0]]
    assert np.exp(both.logits[0, 0]) == pytest.approx([0.4, 0.3, 0.3])
    assert both.t_score.tolist() == [[-1.5]]


def test_facts_are_taken_from_a_corrected_table():
    films = [replace(film("normal", "g", age=50.0, sex="female", t_score=-0.5), file=name) for name in ("a", "b")]
    stored = Predictions(LABELS, films, np.zeros((1, 2), int), np.ones((1, 2, 3)), np.ones((1, 2)))
    table = [replace(films[1], age=51.0), replace(films[0], age=np.nan, sex="", t_score=np.nan), film("normal")]
    corrected = stored.with_facts(table)
    assert [first.file for first in corrected.films] == ["a", "b"]
    assert np.isnan([corrected.films[0].age, corrected.films[0].t_score]).all()
    assert (corrected.films[0].sex, corrected.films[1].age) == ("", 51.0)
    assert corrected.logits is stored.logits


def test_a_film_of_another_label_or_group_cannot_be_corrected():
    first = replace(film("normal", "g"), file="a")
    stored = Predictions(LABELS, [first], np.zeros((1, 1), int), np.ones((1, 1, 3)), np.ones((1, 1)))
    for other, message in (
        (replace(first, label="osteopenia"), "is osteopenia of group g there: train on it again"),
        (replace(first, group="h"), "is normal of group h there"),
        (replace(first, file="b"), "is not in the table"),
    ):
        with pytest.raises(DataError, match=message):
            stored.with_facts([other])
