import math

import pytest
import torch
from support.training import tiny_learner

from osteolens.errors import DataError
from osteolens.training.optimise import Schedule, build_optimiser, choose_precision

CPU = torch.device("cpu")


def test_schedule_warms_up_and_falls_to_zero():
    schedule = Schedule(peak=1.0, steps_per_epoch=10, epochs=3, warmup_epochs=1)
    assert schedule.rate(0) == pytest.approx(1 / 11)
    assert schedule.rate(9) == pytest.approx(10 / 11)
    assert schedule.rate(10) == pytest.approx(1)
    assert schedule.rate(15) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert schedule.rate(20) == pytest.approx(0.5)
    assert schedule.rate(30) == pytest.approx(0)


def test_schedule_sets_every_group():
    learner = tiny_learner()
    assert learner.schedule.apply(learner.optimiser, 3) == pytest.approx(0.005)
    assert [group["lr"] for group in learner.optimiser.param_groups] == pytest.approx([0.005, 0.005])


def test_only_weights_decay():
    model = tiny_learner().model
    decayed, free = build_optimiser(model, 0.1, 0.3).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in free["params"]} == {1}


def test_heads_learn_faster_by_their_factor():
    learner = tiny_learner()
    optimiser = build_optimiser(learner.model, 0.01, 0.1, head_factor=5.0)
    learner.schedule.apply(optimiser, 3)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert rates[id(learner.model.backbone.weight)] == pytest.approx(0.005)
    assert rates[id(learner.model.classifier.weight)] == pytest.approx(0.025)
    assert rates[id(learner.model.regressor.bias)] == pytest.approx(0.025)
    assert len(rates) == len(list(learner.model.parameters()))


def test_bf16_is_for_a_cpu_that_has_it_and_asks_for_it(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    with pytest.raises(DataError, match=r"run\.precision is 'bf16'.*\"auto\""):
        choose_precision("bf16", CPU)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert choose_precision("bf16", CPU).dtype is torch.bfloat16
    assert choose_precision("auto", CPU).dtype is torch.float32


def test_fp16_needs_a_gpu():
    with pytest.raises(DataError, match="fp16"):
        choose_precision("fp16", CPU)


def test_autocast_changes_what_layers_compute_in(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for setting, dtype in {"bf16": torch.bfloat16, "fp32": torch.float32}.items():
        with choose_precision(setting, CPU).autocast():
            assert layer(x).dtype is dtype
