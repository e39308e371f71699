"""A folder that is used again: what goes on, what is refused, and that nothing is overwritten before that."""

import csv
import json
import tomllib
from concurrent.futures import Executor, Future
from types import SimpleNamespace

import numpy as np
import pytest
from support.films import TINY, save_film, write_rows

from osteolens.errors import DataError
from osteolens.labels import LABELS
from osteolens.training import fit as training_run
from osteolens.training import member
from osteolens.training.config import Configuration
from osteolens.training.cross_validation import cross_validate
from osteolens.training.fit import fit
from osteolens.training.plan import plan


class Inline(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, call, /, *arguments):
        future = Future()
        future.set_result(call(*arguments))
        return future


def changed(table, **columns):
    """The table with other cells: a function of the row's number for each column."""
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    return write_rows(
        table, [row | {name: value(index) for name, value in columns.items()} for index, row in enumerate(rows)]
    )


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def settings(**sections):
    base = tomllib.loads(TINY.format(epochs=1))
    return Configuration.model_validate(base | {name: base.get(name, {}) | keys for name, keys in sections.items()})


@pytest.fixture
def once(table, tmp_path, quiet, monkeypatch):
    """A single split whose training is left out; it returns how many films were to be trained on."""
    trained = []
    learner = SimpleNamespace(model=None)
    monkeypatch.setattr(training_run, "build_learner", lambda *_: learner)
    monkeypatch.setattr(training_run, "train", lambda *what: trained.append(what[2].among("train")))
    for name in ("save_model", "list_films", "write_outcome"):
        monkeypatch.setattr(training_run, name, lambda *_: None)
    monkeypatch.setattr(training_run, "predict_split", lambda *_: SimpleNamespace(write=lambda path: None))
    monkeypatch.setattr(training_run, "show", lambda *_: None)
    monkeypatch.setattr(training_run, "add_guards", lambda *_, **__: None)

    def start(restart=False, **sections):
        config = settings(**sections)
        fit(config, table, tmp_path / "out", name="a", restart=restart, trial=False, console=quiet)
        return len(trained[-1].films)

    return start


@pytest.fixture
def crossed(table, tmp_path, quiet, monkeypatch):
    """A cross-validation that answers each film with its brightness and counts the models it trains."""
    trained = []
    monkeypatch.setattr(member, "_train", lambda config, folder, *_: trained.append(folder.name) or folder)
    monkeypatch.setattr(member, "predict_films", lambda folder, cohort, *_: (
        np.stack([cohort.pictures.mean(axis=(1, 2, 3))] * 3, axis=1), np.full(len(cohort.films), np.nan)
    ))  # fmt: skip

    def start(folds=3, repeats=1, fold_table=None, by_source=False, restart=False, **sections):
        config = settings(data={"validation": 0.0}, **sections)
        fold_plan = plan(config, table, folds=folds, repeats=repeats, table=fold_table, by_source=by_source)
        before = len(trained)
        predictions = cross_validate(
            config, fold_plan, tmp_path / "out", jobs=1, console=quiet, executor=Inline(), restart=restart
        )
        return predictions, trained[before:]

    return start


def test_other_held_out_rows_are_refused_before_anything_is_written(once, table, tmp_path):
    changed(table, last=lambda index: int(index >= 24))
    assert once(data={"held_out": "last"}) == 18
    before = content(tmp_path / "out")
    changed(table, last=lambda index: int(index < 6))
    with pytest.raises(DataError) as caught:
        once(data={"held_out": "last"})
    assert str(caught.value) == (
        f"{tmp_path / 'out'} holds a run that was started differently: parts (training, validation, held out) differ; "
        "use another --out, or --restart to train again there"
    )
    assert content(tmp_path / "out") == before
    once(data={"held_out": "last"}, restart=True)
    assert content(tmp_path / "out") != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": lambda index: LABELS[(index + (index < 3)) % 3]}, "labels of films differ"),
        ({"t_score": lambda index: -index / 10}, "T-scores differ"),
        ({"group": lambda index: "together" if index in (0, 1) else f"g{index}"}, "groups differ"),
    ],
)  # fmt: skip
def test_what_decides_a_prediction_is_refused(once, table, change, message):
    changed(table, held=lambda index: int(index >= 21))
    held = {"held_out": "held"}
    once(data=held)
    changed(table, **change)
    with pytest.raises(DataError, match=message):
        once(data=held)


def test_what_decides_nothing_goes_on(once, table, tmp_path):
    once()
    changed(table, age=lambda index: 80 - index, file=lambda index: f"../{tmp_path.name}/{index}.png")
    once(dataset={"name": "Another name"}, run={"workers": 2})
    once(optimisation={"epochs": 5})
    with pytest.raises(DataError, match=r"optimisation\.epochs was 5 and is 1"):
        once()


def test_settings_are_named_with_both_values(once):
    once()
    with pytest.raises(DataError, match=r"preprocess\.height was 64 and is 96; optimisation\.learning_rate was 0\.002"):
        once(optimisation={"learning_rate": 0.5}, preprocess={"height": 96, "width": 64})


def test_a_setting_that_the_run_did_not_have_yet_was_at_its_default(once, tmp_path):
    once()
    path = tmp_path / "out" / "identity.json"
    stored = json.loads(path.read_text())
    del stored["configuration"]["optimisation"]["head_factor"]
    path.write_text(json.dumps(stored))
    once()
    with pytest.raises(DataError, match=r"optimisation\.head_factor was 1\.0 and is 5\.0"):
        once(optimisation={"head_factor": 5.0})


def test_a_folder_of_an_earlier_version_is_refused_in_one_line(once, crossed, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoint.safetensors").write_bytes(b"as it was")
    for start in (once, crossed):
        with pytest.raises(DataError, match=r"holds checkpoint.safetensors of a run without identity.json"):
            start()
    once(restart=True)
    assert not (tmp_path / "out" / "checkpoint.safetensors").exists()
    (tmp_path / "out" / "identity.json").write_text("{")
    with pytest.raises(DataError, match=r"identity\.json cannot be read"):
        once()


def test_a_restart_deletes_what_the_run_left_and_nothing_else(once, crossed, tmp_path):
    out = tmp_path / "out"
    crossed()
    (out / "maps.json").write_text("about the models before")
    (out / "tried.csv").write_text("written by hand")
    with pytest.raises(DataError, match="kind of run was 'a cross-validation' and is 'a single split'"):
        once()
    once(restart=True)
    assert sorted(path.name for path in out.iterdir()) == ["identity.json", "split.csv", "tried.csv"]
    with pytest.raises(DataError, match="kind of run was 'a single split' and is 'a cross-validation'"):
        crossed()


def test_a_folder_without_a_run_loses_nothing_to_a_restart(once, tmp_path):
    (tmp_path / "out" / "model").mkdir(parents=True)
    (tmp_path / "out" / "model" / "mine.txt").write_text("kept")
    once(restart=True)
    assert (tmp_path / "out" / "model" / "mine.txt").exists()


def other_folds(tmp_path, turn):
    """The stored fold table with films in other folds, as many in each."""
    with (tmp_path / "out" / "folds.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return write_rows(tmp_path / "other.csv", [row | {"repeat_0": (int(row["repeat_0"]) + turn) % 3} for row in rows])


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"folds": 2}, r"number of folds in repeat 0 was 3 and is 2; films in the folds of repeat 0 differ"),
        ({"by_source": True}, r"number of folds in repeat 0 was 3 and is 2"),
        ({"fold_table": 1}, r"started differently: films in the folds of repeat 0 differ; use"),
    ],
)
def test_other_folds_are_refused_before_the_fold_table_is_overwritten(crossed, table, tmp_path, start, message):
    changed(table, source=lambda index: "north" if index < 12 else "south")
    predictions, trained = crossed()
    assert trained == ["r0f0", "r0f1", "r0f2"]
    before = content(tmp_path / "out")
    if "fold_table" in start:
        start = {"fold_table": other_folds(tmp_path, start["fold_table"])}
    with pytest.raises(DataError, match=message):
        crossed(**start)
    assert content(tmp_path / "out") == before
    again, trained = crossed(restart=True, **start)
    assert len(trained) == len(np.unique(again.fold))
    np.testing.assert_array_equal(again.logits, predictions.logits)  # its own answer for each film


def test_more_repeats_go_on(crossed, tmp_path):
    crossed()
    _, trained = crossed(repeats=2)
    assert trained == ["r1f0", "r1f1", "r1f2"]
    predictions, trained = crossed(fold_table=tmp_path / "out" / "folds.csv")
    assert trained == []
    assert predictions.fold.shape == (2, 30)
    for _ in range(2):  # fewer repeats forget nothing of the others
        predictions, trained = crossed()
        assert (predictions.fold.shape, trained) == ((1, 30), [])
    assert crossed(repeats=2)[1] == []


def test_more_epochs_train_every_fold_on_and_drop_findings_about_the_models_before(crossed, tmp_path):
    crossed()
    maps = tmp_path / "out" / "maps.json"
    maps.write_text("{}")
    crossed(dataset={"name": "Another name"})
    assert maps.exists()
    assert crossed(optimisation={"epochs": 3})[1] == ["r0f0", "r0f1", "r0f2"]
    assert not maps.exists()


def test_another_picture_under_the_same_name_is_refused(crossed, tmp_path):
    crossed()
    save_film(tmp_path / "4.png", 90, seed=99)
    with pytest.raises(DataError, match="pictures differ"):
        crossed()


def test_another_backbone_in_the_same_folder_is_refused(once, tmp_path, monkeypatch):
    start = tmp_path / "start"
    start.mkdir()
    (start / "weights.safetensors").write_bytes(b"first")
    once()
    with pytest.raises(DataError, match=r"model\.start differ"):
        once(model={"start": str(start)})
    once(model={"start": str(start)}, restart=True)
    (start / "weights.safetensors").write_bytes(b"second")
    with pytest.raises(DataError, match=r"model\.start differ"):
        once(model={"start": str(start)})
    moved = start.rename(tmp_path / "moved")
    (moved / "weights.safetensors").write_bytes(b"first")
    once(model={"start": str(moved)})


def test_the_identity_is_json_that_a_person_can_read(once, tmp_path):
    once()
    stored = json.loads((tmp_path / "out" / "identity.json").read_text())
    assert stored["films"]["number of films"] == 30
    assert "dataset" not in stored["configuration"]
    assert str(tmp_path) not in json.dumps(stored)
