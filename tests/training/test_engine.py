from dataclasses import replace

import pytest
import torch
from support.training import tiny_batches, tiny_learner

from osteolens.errors import TrainingError
from osteolens.training.engine import MAX_GRADIENT_NORM, predict, train_one_epoch
from osteolens.training.optimise import averaged


def test_an_epoch_lowers_the_loss_and_reports_each_step():
    learner, batches, losses = tiny_learner(), tiny_batches(), []
    first = train_one_epoch(learner, batches, 0, losses.append)
    assert first == pytest.approx(sum(losses) / 2)
    for epoch in (1, 2):
        last = train_one_epoch(learner, batches, epoch, losses.append)
    assert len(losses) == 6
    assert last < first


def test_the_schedule_goes_on_over_epochs():
    learner = tiny_learner()
    train_one_epoch(learner, tiny_batches(), 1, lambda _: None)
    assert learner.optimiser.param_groups[0]["lr"] == pytest.approx(learner.schedule.rate(3))


def test_a_loss_that_is_not_finite_stops_at_once_and_leaves_the_weights():
    learner = tiny_learner(t_score_weight=float("inf"))
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    with pytest.raises(TrainingError, match=r"became inf in epoch 3, step 5, at learning rate 0\.0025: try a smaller"):
        train_one_epoch(learner, tiny_batches(), 2, lambda _: None)
    assert all(torch.equal(value, before[name]) for name, value in learner.model.state_dict().items())


def test_gradients_are_clipped():
    learner = tiny_learner(t_score_weight=1e6)
    train_one_epoch(learner, tiny_batches(1), 0, lambda _: None)
    norms = [parameter.grad.norm() for parameter in learner.model.parameters() if parameter.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(MAX_GRADIENT_NORM, rel=1e-4)


def test_predict_gives_every_film_in_order_whatever_the_batch():
    learner = tiny_learner()
    learner.model.dropout.p = 0.5
    pictures = torch.cat([pictures for pictures, _, _ in tiny_batches()])
    in_batches, all_at_once = (predict(learner.model.train(), pictures, size, learner.precision) for size in (3, 8))
    assert [tuple(part.shape) for part in in_batches] == [(8, 3), (8,)]
    for a, b in zip(in_batches, all_at_once, strict=True):
        torch.testing.assert_close(a, b)


def test_scored_weights_are_the_moving_average_of_those_after_each_step():
    learner = tiny_learner()
    assert learner.scored is learner.model
    learner, steps = replace(learner, average=averaged(learner.model, 0.75)), []
    weight = learner.model.classifier.weight
    train_one_epoch(learner, tiny_batches(3), 0, lambda _: steps.append(weight.detach().clone()))
    # The first step's weights start the average, then each step has a quarter of what is new.
    expected = steps[0]
    for step in steps[1:]:
        expected = 0.75 * expected + 0.25 * step
    torch.testing.assert_close(learner.scored.classifier.weight.detach(), expected)
