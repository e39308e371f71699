import math

import pytest
import torch

from osteolens.training.objective import Objective, balanced_weights

NAN = float("nan")


def test_class_and_t_score_by_hand():
    objective = Objective(torch.ones(3), label_smoothing=0.0, t_score_weight=0.5)
    logits = torch.zeros(2, 3)
    # Huber with delta 1: an error of 2 costs 1.5; the film without a T-score costs nothing.
    loss = objective(logits, torch.tensor([-1.0, 7.0]), torch.tensor([0, 2]), torch.tensor([-3.0, NAN]))
    assert loss.item() == pytest.approx(math.log(3) + 0.5 * 1.5)


def test_no_t_score_at_all_leaves_the_class():
    objective = Objective(torch.ones(3), label_smoothing=0.0, t_score_weight=1.0)
    loss = objective(torch.zeros(1, 3), torch.tensor([NAN]), torch.tensor([1]), torch.tensor([NAN]))
    assert loss.item() == pytest.approx(math.log(3))


def test_a_masked_film_has_no_gradient():
    t_scores = torch.tensor([-1.0, -2.0], requires_grad=True)
    objective = Objective(torch.ones(3), label_smoothing=0.0, t_score_weight=1.0)
    objective(torch.zeros(2, 3), t_scores, torch.tensor([0, 1]), torch.tensor([NAN, -1.5])).backward()
    assert t_scores.grad is not None
    assert t_scores.grad.tolist() == [0.0, -0.5]


def test_balanced_weights_let_each_class_count_the_same():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    weights = balanced_weights(labels, 3)
    assert weights.tolist() == pytest.approx([7 / 12, 7 / 6, 7 / 3])
    assert torch.zeros(3).scatter_add(0, labels, weights[labels]).tolist() == pytest.approx([7 / 3] * 3)


def test_class_weights_reach_the_loss():
    objective = Objective(torch.tensor([3.0, 1.0]), label_smoothing=0.0, t_score_weight=0.0)
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])  # costs ln 4 and ln 2
    loss = objective(logits, torch.zeros(2), torch.tensor([0, 1]), torch.tensor([NAN, NAN]))
    assert loss.item() == pytest.approx((3 * math.log(4) + math.log(2)) / 4)


def test_the_expected_rank_by_hand():
    objective = Objective(torch.ones(3), label_smoothing=0.0, t_score_weight=0.0, ordinal_weight=0.5)
    # Even logits expect rank 1: label 0 is off by 1, label 2 by 1.
    loss = objective(torch.zeros(2, 3), torch.full((2,), NAN), torch.tensor([0, 2]), torch.full((2,), NAN))
    assert loss.item() == pytest.approx(math.log(3) + 0.5 * 1.0)
