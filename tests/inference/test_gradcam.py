from typing import get_args

import numpy as np
import pytest
import pytorch_grad_cam
import torch
from conftest import knee_like
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from osteolens import models
from osteolens.inference import gradcam
from osteolens.models import Ensemble, KneeModel, Model
from osteolens.options import Method

METHODS = [method for method in get_args(Method) if method != "none"]


class Halves(nn.Module):
    """Two channels of 2 x 2 cells: how bright each quarter of the film is, and how dark."""

    def forward(self, x: Tensor) -> Tensor:
        bright = nn.functional.adaptive_avg_pool2d(x[:, :1], 2)
        return torch.cat([bright, 1 - bright], dim=1)


def tiny() -> KneeModel:
    model = KneeModel(Halves(), 2, 2, has_t_score=False, mean=[0.0], std=[1.0])
    with torch.no_grad():
        model.classifier.weight.copy_(torch.tensor([[4.0, 1.0], [-2.0, 6.0]]))
        model.classifier.bias.zero_()
    return model.eval().requires_grad_(False)


FILM = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
FILM[0, 0, :2, :2] = 255  # quarters: bright = [[1, 0], [0, 0]], dark = [[0, 1], [1, 1]]


def test_the_tiny_model_answers_as_computed_by_hand() -> None:
    logits, t_score = tiny()(FILM)
    # pooled = (0.25, 0.75): 4 * 0.25 + 0.75 = 1.75 and -2 * 0.25 + 6 * 0.75 = 4
    assert logits.tolist() == [[1.75, 4.0]]
    assert torch.isnan(t_score).all()


def test_gradcam_equals_numbers_worked_out_by_hand() -> None:
    """The weight of a channel is its gradient averaged over the 4 cells: w / 4. The map is relu(sum w / 4 * A)."""
    model = tiny()
    features = model.features(FILM)
    films, both = FILM.repeat(2, 1, 1, 1), features.repeat(2, 1, 1, 1)
    maps = gradcam.explain(model, films, both, "gradcam", [0, 1])
    # class 0: 4/4 * bright + 1/4 * dark; class 1: -2/4 * bright + 6/4 * dark, cut at zero
    np.testing.assert_allclose(maps[0], [[1.0, 0.25], [0.25, 0.25]], atol=1e-6)
    np.testing.assert_allclose(maps[1], [[0.0, 1.5], [1.5, 1.5]], atol=1e-6)


def second() -> KneeModel:
    """Another member: its weights are twice those of `tiny`, and so are its maps."""
    model = tiny()
    model.classifier.weight.mul_(2)
    return model


def test_an_ensemble_s_map_is_the_mean_of_its_members_maps_as_they_are() -> None:
    ensemble = Ensemble([tiny(), second()])
    features = ensemble.features(FILM)
    maps = gradcam.explain(ensemble, FILM.repeat(2, 1, 1, 1), features.repeat(2, 1, 1, 1), "gradcam", [0, 1])
    # 1.5 times the maps above
    np.testing.assert_allclose(maps[0], [[1.5, 0.375], [0.375, 0.375]], atol=1e-6)
    np.testing.assert_allclose(maps[1], [[0.0, 2.25], [2.25, 2.25]], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_that_holds_for_every_method(method: Method) -> None:
    first, other = (gradcam.explain(model, FILM, model.features(FILM), method, [1]) for model in (tiny(), second()))
    ensemble = Ensemble([tiny(), second()])
    maps = gradcam.explain(ensemble, FILM, ensemble.features(FILM), method, [1])
    np.testing.assert_allclose(maps, (first + other) / 2, atol=1e-6)


def test_three_calls_in_a_row_give_the_same_map() -> None:
    model = tiny()
    features = model.features(FILM)
    maps = [gradcam.explain(model, FILM, features, "gradcam", [1]) for _ in range(3)]
    np.testing.assert_array_equal(maps[0], maps[1])
    np.testing.assert_array_equal(maps[0], maps[2])


def hooks_of(model: nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in model.modules()
    )


@pytest.mark.parametrize("error", [IndexError, RuntimeError])
def test_hooks_are_gone_after_a_failure_and_the_failure_is_seen(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny()
    features = model.features(FILM)
    seen: list[nn.Module] = []
    original = gradcam._Explained.forward

    def failing(self: nn.Module, x: Tensor) -> Tensor:
        seen.append(self)
        original(self, x)
        raise error("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(gradcam._Explained, "forward", failing)
        with pytest.raises(error, match="on purpose"):
            gradcam.explain(model, FILM, features, "gradcam", [0])
    assert hooks_of(seen[0]) == 0
    np.testing.assert_allclose(gradcam.explain(model, FILM, features, "gradcam", [0])[0, 0], [1.0, 0.25], atol=1e-6)


@pytest.fixture(scope="module")
def efficientnet() -> KneeModel:
    torch.manual_seed(0)
    return models.for_inference(models.build("tf_efficientnet_lite0", 3, has_t_score=True, pretrained=True))


@pytest.fixture(scope="module")
def kinds(efficientnet: KneeModel) -> dict[str, Model]:
    """A model of every kind."""
    torch.manual_seed(0)
    yolov5 = models.for_inference(models.build("yolov5n", 3, has_t_score=True, pretrained=True))
    return {"efficientnet": efficientnet, "yolov5": yolov5, "ensemble": Ensemble([efficientnet, yolov5])}


@pytest.fixture(scope="module")
def films() -> Tensor:
    return torch.from_numpy(np.stack([knee_like(96, 96, seed)[None] for seed in range(2)]))


@pytest.mark.parametrize("kind", ["efficientnet", "yolov5"])
def test_running_on_the_head_equals_the_package_on_the_whole_model(
    kind: str, kinds: dict[str, Model], films: Tensor
) -> None:
    model = kinds[kind]

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.last = model, nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.model.head(self.last(self.model.features(x)))[0]

    whole = Whole()
    cam = pytorch_grad_cam.GradCAM(whole, [whole.last])
    features = model.features(films)
    for target in range(3):
        expected = cam(films.float().requires_grad_(), [ClassifierOutputTarget(target)] * 2)
        maps = gradcam.explain(model, films, features, "gradcam", [target] * 2)
        for ours, theirs in zip(maps, expected, strict=True):
            scaled = scale_cam_image(scale_cam_image(ours[None], (96, 96)))[0]
            np.testing.assert_allclose(scaled, theirs, atol=1e-3)
    cam.activations_and_grads.release()


@pytest.mark.parametrize("method", [method for method in METHODS if method not in gradcam.PERTURBING])
def test_every_method_gives_maps_of_the_feature_map_s_size(
    method: Method, efficientnet: KneeModel, films: Tensor
) -> None:
    assert_whole(efficientnet, films, method)


@pytest.mark.parametrize("kind", ["yolov5", "ensemble"])
@pytest.mark.parametrize("method", ["gradcam", "layercam", "eigencam"])
def test_the_other_kinds_are_explained_in_the_same_way(
    method: Method, kind: str, kinds: dict[str, Model], films: Tensor
) -> None:
    assert_whole(kinds[kind], films, method)


def assert_whole(model: Model, films: Tensor, method: Method) -> None:
    features = model.features(films)
    maps = gradcam.explain(model, films, features, method, [0, 2])
    assert maps.shape == (2, *features.shape[2:])
    assert maps.dtype == np.float32
    assert maps.min() >= 0


def test_scorecam_covers_the_film_and_not_the_feature_map() -> None:
    model = tiny()
    maps = gradcam.explain(model, FILM, model.features(FILM), "scorecam", [1])
    # The first mask, stretched to 4 x 4, is (1, 2/3, 1/3, 0) down and across; the second is 1 minus that. The bright
    # quarter keeps (5/3)^2 / 4 = 0.6944 of its light under the first and 0.3056 under the second: pooled
    # (0.1736, 0.8264) and (0.0764, 0.9236), logits 4.6111 and 5.3889, whose softmax weighs the two channels.
    weights = np.exp([4.6111, 5.3889]) / np.exp([4.6111, 5.3889]).sum()
    bright, dark = np.array([[1, 0], [0, 0]]), np.array([[0, 1], [1, 1]])
    np.testing.assert_allclose(maps[0], weights[0] * bright + weights[1] * dark, atol=1e-4)


def test_every_method_of_the_schema_is_known() -> None:
    assert set(METHODS) == set(gradcam._CLASSES)
