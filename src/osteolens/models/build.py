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
    """Let the first convolution read a single grey channel instead of three that differ by a factor at most.

    Only where the channels share a mean: then the zeros that pad the film are the same grey level in each.
    """
    stem = next((module for module in model.backbone.modules() if isinstance(module, nn.Conv2d)), None)
    if stem is None or stem.in_channels != 3 or stem.groups != 1 or bool((model.mean != model.mean[:, :1]).any()):
        return
    stem.weight = nn.Parameter((stem.weight / model.std).sum(dim=1, keepdim=True), requires_grad=False)
    stem.in_channels = 1
    model.mean, model.std = model.mean[:, :1], torch.ones_like(model.std[:, :1])


def _fold_batch_norms(module: nn.Module) -> None:
    previous: nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            fused = fuse_conv_bn_eval(previous, child)
            previous.weight, previous.bias = fused.weight, fused.bias
            # timm's batch norms carry the activation that follows them.
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            _fold_batch_norms(child)
        previous = child
