"""Grad-CAM (Selvaraju et al. 2017) and its relatives, by the grad-cam package, at the last feature map.

Behind the last feature map a model is only average pooling and linear layers. So the methods run on that
head alone, with a feature map that was computed once: the maps are the same as on the whole model, and a
map of every class costs little more than a single map.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytorch_grad_cam as cams
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from osteolens.models import Ensemble, KneeModel, Model
from osteolens.options import PERTURBING, Method

_CLASSES: dict[Method, Any] = {
    "gradcam": cams.GradCAM,
    "gradcam++": cams.GradCAMPlusPlus,
    "xgradcam": cams.XGradCAM,
    "hirescam": cams.HiResCAM,
    "layercam": cams.LayerCAM,
    "gradcamelementwise": cams.GradCAMElementWise,
    "finercam": cams.FinerCAM,
    "eigencam": cams.EigenCAM,
    "eigengradcam": cams.EigenGradCAM,
    "kpcacam": cams.KPCA_CAM,
    "fem": cams.FEM,
    "ablationcam": cams.AblationCAM,
    "scorecam": cams.ScoreCAM,
}


class _Explained(nn.Module):
    """Logits of a model from its films or its feature maps, with the feature map where a hook can reach it."""

    def __init__(self, model: KneeModel, *, from_film: bool) -> None:
        super().__init__()
        self.model = model
        self.from_film = from_film
        self.tap = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        features = self.model.features(x) if self.from_film else x
        logits, _ = self.model.head(self.tap(features))
        return logits


def explain(
    model: Model, films: Tensor, features: Tensor, method: Method, targets: Sequence[int]
) -> NDArray[np.float32]:
    """Heat maps, one per film; those of an ensemble are the mean of its members' maps.

    The members' maps are averaged as they are, not each scaled by its own maximum: Grad-CAM's values are shares of
    a logit, so a member that sees little adds little.

    Args:
        model: In evaluation mode.
        films: uint8 [N, 1, H, W], as the model takes them.
        features: float32 [N, C, h, w], what `model.features(films)` gave.
        method: Any of `osteolens.options.Method` but `none`.
        targets: The class index that each map is for.

    Returns:
        float32 [N, h, w], 0 and above, not scaled: a map's largest value is its peak.
    """
    if isinstance(model, Ensemble):
        parts = zip(model.members, model.split(features), strict=True)
        maps = np.stack([explain(member, films, part, method, targets) for member, part in parts])
        mean: NDArray[np.float32] = maps.mean(axis=0)
        return mean
    from_film = method in PERTURBING
    explained = _Explained(model, from_film=from_film).eval()
    x = films.float() if from_film else features.detach().requires_grad_()
    with torch.enable_grad(), _hooked(_CLASSES[method], explained) as (run, base):
        raw = _recorded(base)
        if method == "finercam":  # takes a single class for a whole batch
            for row, target in enumerate(targets):
                run(x[row : row + 1], target_idx=target)
        else:
            run(x, [ClassifierOutputTarget(target) for target in targets])
    return np.maximum(np.concatenate(raw), 0).astype(np.float32)


@contextmanager
def _hooked(cam_class: Any, explained: _Explained) -> Iterator[tuple[Any, Any]]:
    """A method and the BaseCAM behind it; its hooks are removed afterwards, whatever happens.

    (The package's own context manager swallows IndexError.)
    """
    cam = cam_class(explained, [explained.tap])
    base = getattr(cam, "base_cam", cam)
    try:
        yield cam, base
    finally:
        base.activations_and_grads.release()


def _recorded(cam: Any) -> list[NDArray[np.float32]]:
    """Record a method's maps before the package scales them, as only then their peaks are known."""
    # The package returns maps that it has scaled to 0..1 and resized; `get_cam_image` is its last step before that.
    maps: list[NDArray[np.float32]] = []
    compute = cam.get_cam_image

    def record(*args: Any, **kwargs: Any) -> NDArray[np.float32]:
        values: NDArray[np.float32] = compute(*args, **kwargs)
        maps.append(values)
        return values

    cam.get_cam_image = record
    return maps
