"""A cross-validation: folds, workers, resumption, and the table at its end."""

import csv
import json

import numpy as np
import pytest
from support.films import TINY, save_film, write_rows
from support.training import InThisProcess

from osteolens.errors import DataError
from osteolens.evaluation.predictions import read_predictions
from osteolens.labels import LABELS
from osteolens.training.config import load_configuration
from osteolens.training.cross_validation import cross_validate
from osteolens.training.member import ANSWERS_FILE
from osteolens.training.plan import plan


def settings(path, epochs=1, **data):
    lines = "\n".join(f"{key} = {value}" for key, value in data.items())
    path.write_text(
        TINY.format(epochs=epochs).replace("[data]\nvalidation = 0.2", f"[data]\nvalidation = 0.0\n{lines}")
    )
    return load_configuration(path)


def planned(config, table, folds=3, repeats=1, fold_table=None, by_source=False):
    return plan(config, table, folds=folds, repeats=repeats, table=fold_table, by_source=by_source)


def with_column(table, column, value):
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    return write_rows(table, [row | {column: value(index)} for index, row in enumerate(rows)])


def test_repeats_shuffle_again_and_groups_stay_together(settings_file, table):
    with_column(table, "group", lambda index: f"g{index // 6}-{index % 3}")  # two films each
    fold_plan = planned(settings(settings_file), table, repeats=3)
    assert fold_plan.fold.shape == (3, 30)
    assert (fold_plan.fold[0] != fold_plan.fold[1]).any()
    for row in fold_plan.fold:
        pairs = {(film.group, int(fold)) for film, fold in zip(fold_plan.films, row, strict=True)}
        assert len(pairs) == 15
        for fold in range(3):  # ten films of each label over three folds
            labels = [film.label for film, number in zip(fold_plan.films, row, strict=True) if number == fold]
            assert all(2 <= labels.count(label) <= 4 for label in LABELS)


def test_a_fold_table_gives_the_same_folds_to_another_model(settings_file, table, tmp_path):
    config = settings(settings_file)
    fold_plan = planned(config, table, repeats=2)
    fold_plan.write(tmp_path / "folds.csv")
    again = planned(config, table, fold_table=tmp_path / "folds.csv")
    np.testing.assert_array_equal(again.fold, fold_plan.fold)


def test_a_fold_table_that_splits_a_group_or_lacks_a_film_is_refused(settings_file, table, tmp_path):
    config = settings(settings_file)
    planned(config, table).write(tmp_path / "folds.csv")
    lines = (tmp_path / "folds.csv").read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match="does not fit the films"):
        planned(config, table, fold_table=tmp_path / "short.csv")
    with_column(table, "group", lambda index: "all")
    with pytest.raises(DataError, match="a group in two folds"):
        planned(config, table, fold_table=tmp_path / "folds.csv")


def test_by_source_each_fold_is_a_place(settings_file, table):
    config = settings(settings_file)
    with pytest.raises(DataError, match="needs a column `source`"):
        planned(config, table, by_source=True)
    with_column(table, "source", lambda index: "north" if index < 12 else "south")
    assert planned(config, table, by_source=True).fold.tolist() == [[0] * 12 + [1] * 18]


def test_fewer_groups_than_folds_is_refused_before_anything_is_written(settings_file, table, tmp_path):
    with pytest.raises(DataError, match=r"'normal' occurs in 10 groups, too few for 11 folds"):
        planned(settings(settings_file), table, folds=11)


@pytest.mark.slow
def test_every_film_is_predicted_by_a_model_that_never_saw_it_and_nothing_is_done_twice(
    settings_file, table, tmp_path, quiet
):
    config, out = settings(settings_file), tmp_path / "out"
    fold_plan = planned(config, table)
    predictions = cross_validate(config, fold_plan, out, jobs=2, console=quiet)
    stored = read_predictions(out / "predictions.csv")
    np.testing.assert_allclose(stored.logits, predictions.logits, rtol=1e-4, atol=1e-5)
    assert np.isfinite(predictions.logits).all()
    assert [film.file for film in stored.films] == [f"{index}.png" for index in range(30)]

    # Answers of a finished fold are read, not made again: a mark set in one shows in the table.
    answers = out / "r0f1" / ANSWERS_FILE
    marked = json.loads(answers.read_text())
    marked["logits"][0] = [9.0, 8.0, 7.0]
    answers.write_text(json.dumps(marked))
    (out / "r0f2" / ANSWERS_FILE).unlink()
    # In this process, with as many threads a fold: the same rounding.
    again = cross_validate(config, fold_plan, out, jobs=2, console=quiet, executor=InThisProcess())
    first = int(np.flatnonzero(fold_plan.fold[0] == 1)[0])
    assert again.logits[0, first].tolist() == [9.0, 8.0, 7.0]
    rest = np.arange(30) != first
    np.testing.assert_array_equal(again.logits[0, rest], predictions.logits[0, rest])  # f2 went on from its checkpoint

    settings_file.write_text(settings_file.read_text().replace("2e-3", "1e-3"))
    with pytest.raises(DataError, match=r"started differently.*learning_rate"):
        cross_validate(load_configuration(settings_file), fold_plan, out, jobs=1, console=quiet)


@pytest.mark.slow
def test_a_fold_that_fails_is_named_and_finished_ones_stay(settings_file, table, tmp_path, quiet):
    config, out = settings(settings_file), tmp_path / "out"
    fold_plan = planned(config, table)
    cross_validate(config, fold_plan, out, jobs=2, console=quiet, executor=InThisProcess())
    (out / "r0f1" / ANSWERS_FILE).unlink()
    (out / "r0f1" / "checkpoint.safetensors").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"r0f1.*cannot be read"):
        cross_validate(config, fold_plan, out, jobs=1, console=quiet)
    assert (out / "r0f0" / ANSWERS_FILE).exists()


def test_pictures_that_cannot_be_read_stop_the_run_before_it_starts(settings_file, table, tmp_path, quiet):
    config, out = settings(settings_file), tmp_path / "out"
    fold_plan = planned(config, table)
    save_film(tmp_path / "3.png", 100, 0)
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:200])
    with pytest.raises(DataError, match=r"3\.png"):
        cross_validate(config, fold_plan, out, jobs=1, console=quiet)
    assert not out.exists()
