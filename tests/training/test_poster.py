"""The poster's protocol: what it chooses, what it leaves, and that a run can be stopped."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL
from support.poster_films import SPEC, write_published
from support.scripts import run_script
from support.training import configuration

from osteolens.errors import DataError
from osteolens.training.config import Configuration, load_configuration
from poster import protocol
from poster.published import FOLDS, build_protocols, read_pictures
from poster.results import Result, score, sentences

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "train" / "poster_protocol.py"
ARCHITECTURE = "tf_efficientnet_lite0"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return write_published(tmp_path)


@pytest.fixture
def protocols(published, quiet):
    return {protocol.name: protocol for protocol in build_protocols(read_pictures(published), SPEC, 0, quiet)}


def settings(**optimisation):
    sections = {"height": 64, "width": 32, "crop_borders": False}
    small = {"architecture": SMALL, "pretrained": False}
    return configuration(model=small, preprocess=sections, optimisation={"epochs": 3, "batch_size": 8} | optimisation)


def test_a_version_of_each_tested_picture_trains(protocols):
    training, tested = protocol.fold_sides(protocols["poster"], 0)
    assert len(tested.films) == 16  # of 80
    assert {film.file for film in training.films}.isdisjoint(film.file for film in tested.films)
    seen = training.pictures.astype(np.float32)
    nearest = [np.abs(seen - picture).mean(axis=(1, 2, 3)).min() for picture in tested.pictures.astype(np.float32)]
    assert max(nearest) < 4  # grey levels: the small copy differs by its sampling alone


def answers_with(protocol, right_by_epoch):
    """Logits per fold that answer rightly on the first so many films of each fold, epoch by epoch."""
    answers = []
    for fold in range(FOLDS):
        truth = protocol.cohort.truth[protocol.fold == fold]
        classes = len(protocol.cohort.labels)
        logits = np.zeros((len(right_by_epoch), len(truth), classes))
        for epoch, right in enumerate(right_by_epoch):
            predicted = np.where(np.arange(len(truth)) < right, truth, (truth + 1) % classes)
            logits[epoch, np.arange(len(truth)), predicted] = 1
        answers.append(logits)
    return answers


def test_the_poster_takes_the_best_of_its_epochs(protocols):
    result = score(protocols["poster"], settings(), answers_with(protocols["poster"], [4, 12, 8]))
    assert result.chosen_epochs == (2,) * FOLDS
    assert result.fold_accuracies == (0.75,) * FOLDS  # 12 of 16, the most
    assert result.accuracy.value == 0.75
    assert result.last_epoch == 0.5
    assert result.accuracy.low <= 0.75 <= result.accuracy.high
    assert result.majority == pytest.approx(42 / 80)


def test_the_other_protocols_take_the_last(protocols):
    result = score(protocols["kaggle"], settings(), answers_with(protocols["kaggle"], [100]))
    assert (result.accuracy.value, result.balanced_accuracy.value) == (1, 1)
    assert result.chosen_epochs == (3,) * FOLDS
    assert result.epoch == "last of 3"


def made_up(config, training, tested, *, every_epoch, on_step):
    """Instead of training: the same answers for the same films."""
    epochs = config.optimisation.epochs if every_epoch else 1
    return np.random.default_rng(len(training.films)).normal(size=(epochs, len(tested.films), len(tested.labels)))


def test_a_stopped_run_goes_on_with_the_next_fold(published, tmp_path, quiet, monkeypatch):
    calls = []

    def counted(*arguments, **keywords):
        if len(calls) == 7 and not (tmp_path / "again").exists():
            raise KeyboardInterrupt
        calls.append(arguments)
        return made_up(*arguments, **keywords)

    monkeypatch.setattr(protocol, "run_fold", counted)
    arguments = (settings(), [ARCHITECTURE], published)
    with pytest.raises(KeyboardInterrupt):
        protocol.reproduce(*arguments, tmp_path / "out", quiet)
    assert len(list((tmp_path / "out" / "folds").glob("*.json"))) == 7
    assert not (tmp_path / "out" / "poster.json").exists()
    (tmp_path / "again").touch()
    resumed = protocol.reproduce(*arguments, tmp_path / "out", quiet)
    assert len(calls) == 3 * FOLDS
    assert resumed == protocol.reproduce(*arguments, tmp_path / "whole", quiet)
    assert len(calls) == 6 * FOLDS


def test_other_settings_or_a_damaged_fold_are_refused(published, tmp_path, quiet, monkeypatch):
    monkeypatch.setattr(protocol, "run_fold", made_up)
    protocol.reproduce(settings(), [ARCHITECTURE], published, tmp_path / "out", quiet)
    with pytest.raises(DataError, match=r"learning_rate was 0\.0003 and is 0\.01"):
        protocol.reproduce(settings(learning_rate=0.01), [ARCHITECTURE], published, tmp_path / "out", quiet)
    protocol.reproduce(
        settings(), [ARCHITECTURE, "yolov5n"], published, tmp_path / "out", quiet
    )  # another one beside it
    (tmp_path / "out" / "folds" / f"poster_{ARCHITECTURE}_0.json").write_text("{")
    with pytest.raises(DataError, match="delete it to train it again"):
        protocol.reproduce(settings(), [ARCHITECTURE], published, tmp_path / "out", quiet)


def test_json_and_page(published, tmp_path, quiet, monkeypatch):
    monkeypatch.setattr(protocol, "run_fold", made_up)
    results = protocol.reproduce(settings(), [ARCHITECTURE], published, tmp_path / "out", quiet)
    document = json.loads((tmp_path / "out" / "poster.json").read_text())
    assert [Result.model_validate_json(json.dumps(row)) for row in document["results"]] == results
    assert len(document["sentences"]) == 5
    assert str(tmp_path) not in json.dumps(document)
    page = (tmp_path / "out" / "poster.html").read_text()
    assert page.count("<tr>") == 1 + len(results)
    assert page.count("<li>") == 5
    for result in results:
        assert f"{result.accuracy.value:.3f}" in page


def test_sentences_count_the_labels_that_agree(protocols, published):
    films = list(protocols.values())
    results = [score(films[0], settings(), answers_with(films[0], [9, 12, 8]))]
    results += [score(protocol, settings(), answers_with(protocol, [3])) for protocol in films[1:]]
    texts = sentences(results, read_pictures(published))
    assert "of 19 pictures published as normal, 7 show a film whose own label is that alone" in texts[3]
    assert "this gives 75.0 %, and the last epoch 50.0 %" in texts[2]


@pytest.mark.slow
def test_a_fold_trains_and_repeats_itself(protocols):
    training, tested = protocol.fold_sides(protocols["poster"], 0)
    losses: list[float] = []
    first, again = (
        protocol.run_fold(settings(epochs=2), training, tested, every_epoch=True, on_step=losses.append)
        for _ in range(2)
    )
    assert first.shape == (2, 16, 2)
    assert np.array_equal(first, again)
    last = protocol.run_fold(settings(epochs=2), training, tested, every_epoch=False, on_step=losses.append)
    assert np.array_equal(last, first[1:])
    assert len(losses) == 3 * 2 * 8


@pytest.mark.slow
def test_missing_columns_end_the_command_with_status_2(tmp_path):
    table = tmp_path / "films.csv"
    table.write_text("file,label\na.png,normal\n")
    done = run_script(SCRIPT, "--data", table, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "4 problems" in done.stderr
    for name in ("group", "kaggle_label", "source_label", "copies"):
        assert f"there is no column '{name}'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_committed_evidence_is_what_this_code_writes():
    document = json.loads((ROOT / "evidence" / "poster.json").read_text())
    results = [Result.model_validate_json(json.dumps(row)) for row in document["results"]]
    assert [(result.protocol, result.architecture) for result in results] == [
        (protocol, name) for protocol in ("poster", "kaggle", "film") for name in (ARCHITECTURE, "yolov5n")
    ]
    written = load_configuration(ROOT / "train" / "configs" / "poster.toml")
    assert Configuration.model_validate(document["settings"]["configuration"]) == written
    assert len(document["sentences"]) == 5
