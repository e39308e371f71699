import copy
from pathlib import Path

import httpx
import pytest
import torch
from conftest import SMALL, make_model_folder
from torch import Tensor

from osteolens import models
from osteolens.errors import CardError, DataError
from osteolens.models import efficientnet
from osteolens.models.efficientnet import PACKAGED


@pytest.fixture
def films() -> Tensor:
    return torch.randint(0, 256, (3, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("architecture", ["tf_efficientnet_lite0", "efficientnet_b0"])
def test_forward_is_head_after_features(architecture: str, films: Tensor) -> None:
    model = models.build(architecture, 4, has_t_score=True).eval()
    with torch.no_grad():
        features = model.features(films)
        logits, t_score = model.head(features)
        again, _ = model(films)
    assert features.shape[0] == 3
    assert features.shape[2:] == (2, 2)
    assert logits.shape == (3, 4)
    assert t_score.shape == (3,)
    assert torch.equal(logits, again)
    pooled = features.mean(dim=(2, 3))
    torch.testing.assert_close(logits, pooled @ model.classifier.weight.T + model.classifier.bias)


@pytest.mark.parametrize("architecture", ["tf_efficientnet_lite0", "efficientnet_b0"])
def test_folding_batch_norms_changes_no_answer(architecture: str, films: Tensor) -> None:
    torch.manual_seed(0)
    model = models.build(architecture, 3, has_t_score=True).train()
    with torch.no_grad():
        for _ in range(3):
            model(films)  # running statistics that are not the initial zeros and ones
    model.eval()
    folded = models.for_inference(copy.deepcopy(model))
    with torch.no_grad():
        torch.testing.assert_close(folded.features(films), model.features(films), atol=1e-4, rtol=1e-4)
    assert not [name for name, module in folded.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]


@pytest.mark.parametrize("architecture", sorted(PACKAGED))
def test_packaged_imagenet_weights_are_loaded(architecture: str) -> None:
    random, trained = (models.build(architecture, 3, has_t_score=False, pretrained=flag) for flag in (False, True))
    stem = "backbone.conv_stem.weight"
    assert not torch.equal(random.state_dict()[stem], trained.state_dict()[stem])
    assert trained.state_dict()["backbone.bn1.running_var"].std() > 0


def test_without_t_scores_the_head_says_so(films: Tensor) -> None:
    model = models.build("tf_efficientnet_lite0", 3, has_t_score=False).eval()
    assert torch.isnan(model(films)[1]).all()


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b99", ""])
def test_unknown_architectures(name: str) -> None:
    with pytest.raises(DataError, match="tf_efficientnet_lite0"):
        models.build(name, 3, has_t_score=False)


def test_saved_weights_come_back_within_half_precision(tmp_path: Path, films: Tensor) -> None:
    torch.manual_seed(3)
    folder = make_model_folder(tmp_path / "m", seed=3, architecture="tf_efficientnet_lite0")
    torch.manual_seed(3)
    original = models.build("tf_efficientnet_lite0", 3, has_t_score=True, pretrained=True)
    torch.nn.init.normal_(original.classifier.weight, std=0.1)
    loaded, card = models.load(folder)
    assert card.architecture == "tf_efficientnet_lite0"
    with torch.no_grad():
        ours, theirs = (model(films)[0].softmax(dim=1) for model in (loaded, original.eval()))
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    folder = make_model_folder(tmp_path / "m")
    card = (folder / "card.json").read_text()
    assert SMALL in card
    (folder / "card.json").write_text(card.replace(SMALL, "efficientnet_b0"))
    with pytest.raises(CardError, match="are not weights of efficientnet_b0"):
        models.load(folder)


@pytest.mark.parametrize(("architecture", "channels"), [("tf_efficientnet_lite0", 1), ("efficientnet_b0", 3)])
def test_the_grey_channel_is_folded_only_where_the_padding_stays_the_same(
    architecture: str, channels: int, films: Tensor
) -> None:
    """efficientnet_b0 has another mean per channel, so the zeros around a film are another colour than any grey."""
    model = models.build(architecture, 3, has_t_score=True).eval()
    folded = models.for_inference(copy.deepcopy(model))
    assert folded.normalise(films).shape[1] == channels
    assert folded.backbone.conv_stem.weight.shape[1] == channels
    with torch.no_grad():
        torch.testing.assert_close(folded.features(films), model.features(films), atol=1e-4, rtol=1e-4)


def test_weights_that_cannot_be_fetched_are_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[str] = []

    def unreachable(address: str, **_: float) -> None:
        calls.append(address)
        raise httpx.ConnectError("no such host")

    monkeypatch.setattr(efficientnet.httpx, "head", unreachable)
    monkeypatch.setattr(efficientnet, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(
        DataError, match=r"weights of efficientnet_b0 cannot be fetched .*no such host; set pretrained = false"
    ):
        models.build("efficientnet_b0", 3, has_t_score=False, pretrained=True)
    assert len(calls) == 1
    with pytest.raises(DataError, match="timm has no ImageNet weights for efficientnet_b8; set pretrained = false"):
        models.build("efficientnet_b8", 3, has_t_score=False, pretrained=True)


def test_a_mirrored_model_answers_by_the_mean_of_a_film_and_its_mirror_image(films: Tensor) -> None:
    model = models.for_inference(models.build("tf_efficientnet_lite0", 3, has_t_score=True))
    maps, mirrored_maps = model.features(films), model.features(films.flip(3)).flip(3)
    expected = [(one + other) / 2 for one, other in zip(model(films), model(films.flip(3)), strict=True)]
    model.mirrored = True
    torch.testing.assert_close(model.features(films), (maps + mirrored_maps) / 2)
    for answer in (model(films), model(films.flip(3))):
        torch.testing.assert_close(list(answer), expected, rtol=1e-4, atol=1e-5)
    assert model.train().features(films).shape == maps.shape  # and one way at a time
