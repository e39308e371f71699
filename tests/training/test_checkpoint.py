import os
from dataclasses import replace

import pytest
import torch
from support.training import tiny_batches, tiny_learner

from osteolens.errors import DataError
from osteolens.training import checkpoint
from osteolens.training.checkpoint import Progress
from osteolens.training.engine import train_one_epoch
from osteolens.training.optimise import averaged

IDENTITY = {"version": 1, "films": {"labels": "abc"}, "configuration": {"run": {"seed": 0}}}


def row(loss: float) -> dict[str, float]:
    return {"validation loss": loss}


def trained(epochs: int):
    learner, progress = tiny_learner(), Progress()
    for epoch in range(epochs):
        train_one_epoch(learner, tiny_batches(), epoch, lambda _: None)
        progress.add(row(1.0 - epoch / 10), learner.model)
    return learner, progress


def test_the_best_epoch_is_the_first_with_the_lowest_validation_loss():
    learner, progress = tiny_learner(), Progress()
    assert progress.best_epoch == 0
    for epoch, loss in enumerate([0.9, 0.7, 0.8, 0.7], 1):
        with torch.no_grad():
            learner.model.classifier.bias.fill_(epoch)
        progress.add(row(loss), learner.model)
    assert progress.best_epoch == 2
    assert progress.best["classifier.bias"].tolist() == [2.0] * 3


def test_the_best_epoch_can_be_that_of_the_highest_kappa():
    rows = [row(0.7) | {"validation quadratic-weighted kappa": kappa} for kappa in (0.5, 0.8, 0.8)]
    assert Progress(history=[*rows, row(0.1)], choose_by="quadratic-weighted kappa").best_epoch == 2
    assert Progress(history=rows).best_epoch == 1


def test_without_validation_films_the_last_epoch_is_taken():
    learner, progress = tiny_learner(), Progress()
    for epoch in (1, 2, 3):
        with torch.no_grad():
            learner.model.classifier.bias.fill_(epoch)
        progress.add({"training loss": 1.0}, learner.model)
    assert progress.best_epoch == 3
    assert progress.best["classifier.bias"].tolist() == [3.0] * 3
    assert not progress.finished(epochs=4, patience=1)


def test_a_run_ends_after_its_epochs_or_its_patience():
    progress = Progress(history=[row(0.5), row(0.6), row(0.7)])
    assert not progress.finished(epochs=4, patience=3)
    assert progress.finished(epochs=3, patience=3)
    assert progress.finished(epochs=4, patience=2)
    assert not Progress().finished(epochs=1, patience=1)


def test_a_loaded_run_goes_on_bit_for_bit(tmp_path):
    path = tmp_path / "c.safetensors"
    learner, progress = trained(2)
    checkpoint.save(path, IDENTITY, progress, learner)
    other = tiny_learner()
    loaded = checkpoint.load(path, IDENTITY, other)
    assert loaded.history == progress.history
    assert all(torch.equal(value, progress.best[name]) for name, value in loaded.best.items())
    for each in (learner, other):
        train_one_epoch(each, tiny_batches(), 2, lambda _: None)
    for name, value in learner.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name


def test_a_kill_while_writing_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, IDENTITY, trained(1)[1], tiny_learner())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, IDENTITY, trained(2)[1], tiny_learner())
    assert len(checkpoint.load(path, IDENTITY, tiny_learner()).history) == 1


def test_another_configuration_or_other_data_are_refused_by_name(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, IDENTITY, *reversed(trained(1)))
    with pytest.raises(DataError, match=r"run\.seed was 0 and is 1; use another --out, or --restart"):
        checkpoint.load(path, IDENTITY | {"configuration": {"run": {"seed": 1}}}, tiny_learner())
    with pytest.raises(DataError, match="labels was 'abc' and is 'def'"):
        checkpoint.load(path, IDENTITY | {"films": {"labels": "def"}}, tiny_learner())


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\x02\0\0\0\0\0\0\0{}"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"c\.safetensors cannot be read .*--restart"):
        checkpoint.load(path, IDENTITY, tiny_learner())


def test_the_average_of_weights_goes_on_too(tmp_path):
    path, learners = tmp_path / "c.safetensors", []
    for _ in range(2):
        learner = tiny_learner()
        learners.append(replace(learner, average=averaged(learner.model, 0.5)))
    learner, other = learners
    train_one_epoch(learner, tiny_batches(), 0, lambda _: None)
    checkpoint.save(path, IDENTITY, Progress(), learner)
    checkpoint.load(path, IDENTITY, other)
    for each in learners:
        train_one_epoch(each, tiny_batches(), 1, lambda _: None)
    assert learner.average is not None
    assert learner.average.n_averaged == 4
    for name, value in learner.scored.state_dict().items():
        assert torch.equal(value, other.scored.state_dict()[name]), name
