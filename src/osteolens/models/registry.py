"""Names to models, and model folders to models with their weights."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from osteolens.card import WEIGHTS_FILE, Card, load_card
from osteolens.errors import CardError, DataError
from osteolens.models import efficientnet
from osteolens.models.base import KneeModel


def build(
    architecture: str, labels: int, *, has_t_score: bool, pretrained: bool = False, dropout: float = 0.0
) -> KneeModel:
    """A model by name.

    Raises:
        DataError: No architecture has this name.
    """
    if efficientnet.is_efficientnet(architecture):
        return efficientnet.build(architecture, labels, has_t_score=has_t_score, pretrained=pretrained, dropout=dropout)
    raise DataError(f"unknown architecture {architecture!r}: use a timm EfficientNet such as tf_efficientnet_lite0")


def save_weights(model: nn.Module, folder: Path) -> Path:
    """Write fp16 weights (counters stay integers) as safetensors and return the file's path."""
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    path = folder / WEIGHTS_FILE
    save_file(state, path)
    return path


def load(folder: Path) -> tuple[KneeModel, Card]:
    """The model of a folder with `card.json` and `weights.safetensors`, in evaluation mode, ready to answer.

    Raises:
        CardError: Card and weights do not fit each other or the architecture.
    """
    card = load_card(folder)
    model = build(card.architecture, len(card.labels), has_t_score=card.has_t_score)
    state = {
        name: value.float() if value.is_floating_point() else value
        for name, value in load_file(folder / WEIGHTS_FILE).items()
    }
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CardError(f"{folder / WEIGHTS_FILE} are not weights of {card.architecture}: {error}") from error
    return for_inference(model), card


def for_inference(model: KneeModel) -> KneeModel:
    """Evaluation mode without gradients, batch norms folded into their convolutions, channels last.

    The answers stay the same within rounding; on a CPU a film takes a little over half the time.
    """
    model.eval().requires_grad_(False)
    _fold_batch_norms(model)
    return model.to(memory_format=torch.channels_last)


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
