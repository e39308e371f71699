"""Names of architectures to models, and models made ready to answer."""

from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from osteolens.errors import DataError
from osteolens.models import efficientnet, yolov5
from osteolens.models.base import KneeModel

_AnyModule = TypeVar("_AnyModule", bound=nn.Module)


def build(
    architecture: str, labels: int, *, has_t_score: bool, pretrained: bool = False, dropout: float = 0.0
) -> KneeModel:
    """A model by name.

    Raises:
        DataError: No architecture has this name, or it has no weights to start from.
    """
    if architecture in yolov5.SCALES:
        return yolov5.build(architecture, labels, has_t_score=has_t_score, pretrained=pretrained, dropout=dropout)
    if efficientnet.is_efficientnet(architecture):
        return efficientnet.build(architecture, labels, has_t_score=has_t_score, pretrained=pretrained, dropout=dropout)
    raise DataError(
        f"unknown architecture {architecture!r}: use a timm EfficientNet such as tf_efficientnet_lite0, "
        f"or one of {', '.join(yolov5.SCALES)}"
    )


def for_inference(model: _AnyModule) -> _AnyModule:
    """Evaluation mode without gradients, batch norms and grey-to-colour folded into convolutions, channels last.

    The answers stay the same within rounding; on a CPU a film takes a little over half the time.
    """
    model.eval().requires_grad_(False)
    for module in model.modules():
        if isinstance(module, KneeModel):
            _fold_grey(module)
    _fold_batch_norms(model)
    return model.to(memory_format=torch.channels_last)


def _fold_grey(model: KneeModel) -> None:
    """Let the first convolution read a single grey channel instead of three that differ by a factor at most."""
    name = grey_stem(model)
    if name is None:
        return
    stem = model.get_submodule(name)
    assert isinstance(stem, nn.Conv2d)  # noqa: S101
    stem.weight = nn.Parameter((stem.weight / model.std).sum(dim=1, keepdim=True), requires_grad=False)
    stem.in_channels = 1
    model.mean, model.std = model.mean[:, :1], torch.ones_like(model.std[:, :1])


def grey_stem(model: KneeModel) -> str | None:
    """Name of the first convolution where it can read a single channel; None where it cannot.

    Only where the channels share a mean: then the zeros that pad the film are the same grey level in each.
    """
    modules = model.backbone.named_modules(prefix="backbone")
    name, stem = next(((name, module) for name, module in modules if isinstance(module, nn.Conv2d)), ("", None))
    if stem is None or stem.in_channels != 3 or stem.groups != 1 or bool((model.mean != model.mean[:, :1]).any()):
        return None
    return name


def _fold_batch_norms(model: nn.Module) -> None:
    for convolution, norm in foldable_norms(model):
        folded, old = model.get_submodule(convolution), model.get_submodule(norm)
        assert isinstance(folded, nn.Conv2d)  # noqa: S101
        assert isinstance(old, nn.BatchNorm2d)  # noqa: S101
        fused = fuse_conv_bn_eval(folded, old)
        folded.weight, folded.bias = fused.weight, fused.bias
        # timm's batch norms carry the activation that follows them.
        model.set_submodule(norm, getattr(old, "act", nn.Identity()))


def foldable_norms(module: nn.Module, prefix: str = "") -> list[tuple[str, str]]:
    """Names of each convolution and of the batch norm right behind it, which `for_inference` makes one."""
    pairs: list[tuple[str, str]] = []
    previous: tuple[str, nn.Module] | None = None
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and previous and isinstance(previous[1], nn.Conv2d):
            pairs.append((previous[0], prefix + name))
        else:
            pairs += foldable_norms(child, f"{prefix}{name}.")
        previous = prefix + name, child
    return pairs
