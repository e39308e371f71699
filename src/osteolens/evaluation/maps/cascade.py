"""Cascading randomisation (Adebayo et al. 2018): does a heat map depend on what the model has learnt?

The weights are randomised stage by stage, from the heads down to the first convolution. A map that stays the same
shows the picture and the architecture, not the model.
"""

import copy
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from osteolens.inference import gradcam
from osteolens.models import Ensemble, KneeModel, Model

RULE = (
    "From the heads downwards, the weights of one stage after the other are replaced by draws from a normal "
    "distribution with the mean and the standard deviation of each tensor (so that the scale of what flows through "
    "stays plausible), and Grad-CAM for the same class is computed again; figures are Spearman's correlation of the "
    "map with the original one over the cells of the feature map, 0 where the new map is flat. Nearer to 0 is better."
)
BATCH = 16


def stages(model: Model) -> list[tuple[str, list[nn.Module]]]:
    """Parts of a model with weights, from the heads down; an ensemble's k-th stage is the k-th of each member."""
    if isinstance(model, Ensemble):
        members = [stages(member) for member in model.members if isinstance(member, KneeModel)]
        rows = [[stage for stage in row if stage] for row in zip_longest(*members)]
        return [(_joined([name for name, _ in row]), [part for _, parts in row for part in parts]) for row in rows]
    children: list[tuple[str, list[nn.Module]]] = []
    for name, child in model.backbone.named_children():
        # timm keeps an EfficientNet's stages in one Sequential; yolov5's are the backbone's own children.
        inner = list(child.named_children()) if isinstance(child, nn.Sequential) else []
        children += [(f"{name}.{part}", [module]) for part, module in inner] or [(name, [child])]
    weighty = [(name, parts) for name, parts in children if any(list(part.parameters()) for part in parts)]
    return [("heads", [model.classifier, model.regressor]), *reversed(weighty)]


def cascade(
    model: Model, pictures: NDArray[np.uint8], maps: NDArray[np.float32], targets: Sequence[int], seed: int
) -> dict[str, NDArray[np.float64]]:
    """Similarity of each map to the original one after each stage.

    Args:
        model: In evaluation mode; it is copied, not changed.
        pictures: uint8 [N, 1, H, W].
        maps: float32 [N, h, w], Grad-CAM for `targets`.
        targets: The class index of each map.
        seed: Random seed for the new weights.

    Returns:
        By the name of the last randomised stage: Spearman's correlations float64 [N], NaN where the original map is
        flat.
    """
    changed = copy.deepcopy(model)
    random = torch.Generator().manual_seed(seed)
    correlations: dict[str, NDArray[np.float64]] = {}
    for name, parts in stages(changed):
        for part in parts:
            redraw(part, random)
        now = grad_cam(changed, pictures, targets)
        correlations[name] = np.array([similarity(before, after) for before, after in zip(maps, now, strict=True)])
    return correlations


@torch.no_grad()
def redraw(part: nn.Module, random: torch.Generator) -> None:
    """Replace every weight of a part by draws from a normal distribution with its tensor's mean and deviation."""
    for tensor in part.parameters():
        spread = tensor.std(correction=0)  # with the sample's n - 1, a tensor of one number has none
        tensor.copy_(tensor.mean() + spread * torch.randn(tensor.shape, generator=random))


def grad_cam(model: Model, pictures: NDArray[np.uint8], targets: Sequence[int]) -> NDArray[np.float32]:
    """Grad-CAM maps of many films, batch by batch: uint8 [N, 1, H, W] -> float32 [N, h, w]."""
    maps: list[NDArray[np.float32]] = []
    for start in range(0, len(pictures), BATCH):
        films = torch.from_numpy(pictures[start : start + BATCH])
        with torch.no_grad():
            features: Tensor = model.features(films)
        maps.append(gradcam.explain(model, films, features, "gradcam", targets[start : start + BATCH]))
    return np.concatenate(maps)


def similarity(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Spearman's correlation of two maps: 0 if only the second is flat, NaN if the first is."""
    if np.ptp(before) == 0:
        return float("nan")
    if np.ptp(after) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(before), _ranks(after))[0, 1])


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Ranks from 1, equal values share their mean: [...] -> [size]."""
    _, inverse, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])


def _joined(names: Sequence[str]) -> str:
    return " + ".join(dict.fromkeys(names))
