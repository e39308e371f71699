import numpy as np
import pytest
import torch
from torch import nn

from osteolens import models
from osteolens.evaluation.maps.cascade import cascade, grad_cam, redraw, similarity, stages
from osteolens.models import Ensemble, KneeModel


def patches(channels: int = 64, seed: int = 0) -> KneeModel:
    """A model that looks at 8 x 8 patches, one by one, through random filters."""
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Conv2d(3, channels, 8, 8), nn.ReLU())
    model = KneeModel(backbone, channels, 3, has_t_score=False, mean=[0.5] * 3, std=[0.25] * 3)
    nn.init.normal_(model.classifier.weight)
    return model.eval().requires_grad_(False)


def noise(count: int = 9) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 1, 64, 64), np.uint8)


def test_similarity_is_spearman_s_correlation() -> None:
    first = np.array([[1, 2], [2, 3]], np.float32)
    second = np.array([[10, 20], [30, 40]], np.float32)
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, sums of squares 4.5 and 5
    assert similarity(first, second) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert similarity(second, second**3) == pytest.approx(1)
    assert similarity(second, -second) == pytest.approx(-1)


def test_a_flat_map_resembles_nothing() -> None:
    map_, flat = np.array([[1, 2]], np.float32), np.zeros((1, 2), np.float32)
    assert similarity(map_, flat) == 0
    assert np.isnan(similarity(flat, map_))


def test_new_heads_leave_little_of_the_maps() -> None:
    model, pictures = patches(), noise()
    targets = [index % 3 for index in range(len(pictures))]
    maps = grad_cam(model, pictures, targets)
    draws = [cascade(model, pictures, maps, targets, seed) for seed in range(5)]
    assert list(draws[0]) == ["heads", "0"]
    for stage in draws[0]:
        assert abs(np.mean([draw[stage] for draw in draws])) < 0.2


def test_heads_that_are_not_redrawn_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pictures = patches(), noise()
    targets = [0] * len(pictures)
    maps = grad_cam(model, pictures, targets)
    monkeypatch.setattr("osteolens.evaluation.maps.cascade.redraw", lambda part, random: None)
    for values in cascade(model, pictures, maps, targets, seed=0).values():
        np.testing.assert_allclose(values[maps.max(axis=(1, 2)) > 0], 1)


def test_the_model_itself_stays_as_it_was() -> None:
    model, pictures = patches(), noise(2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cascade(model, pictures, grad_cam(model, pictures, [0, 1]), [0, 1], seed=0)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_new_weights_keep_their_scale_and_follow_from_the_seed() -> None:
    layers = [nn.Linear(200, 50) for _ in range(3)]
    for layer in layers[1:]:
        layer.load_state_dict(layers[0].state_dict())
    before = layers[0].weight.detach().clone()
    for layer, seed in zip(layers, (0, 0, 1), strict=True):
        redraw(layer, torch.Generator().manual_seed(seed))
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert not torch.equal(layers[0].weight, layers[2].weight)
    assert layers[0].weight.std().item() == pytest.approx(before.std().item(), rel=0.05)
    assert abs(np.corrcoef(layers[0].weight.detach().ravel(), before.ravel())[0, 1]) < 0.05


def test_stages_go_from_the_heads_down_to_the_first_convolution() -> None:
    model = models.for_inference(models.build("tf_efficientnet_lite0", 3, has_t_score=True))
    names = [name for name, _ in stages(model)]
    assert names == ["heads", "conv_head", *(f"blocks.{index}" for index in range(6, -1, -1)), "conv_stem"]
    parts = [part for _, stage in stages(model) for part in stage]
    weights = sum(len(list(part.parameters())) for part in parts)
    assert weights == len(list(model.parameters()))


def test_stages_of_an_ensemble_go_down_all_members_at_once() -> None:
    deep = KneeModel(
        nn.Sequential(nn.Conv2d(3, 4, 8, 8), nn.Conv2d(4, 4, 1)), 4, 3, has_t_score=False, mean=[0.5], std=[1.0]
    )
    ensemble = Ensemble([patches(), deep.eval()])
    assert [(name, len(parts)) for name, parts in stages(ensemble)] == [("heads", 4), ("0 + 1", 2), ("0", 1)]
