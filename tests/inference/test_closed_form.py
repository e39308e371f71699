"""The heat maps inside the exported graph are the grad-cam package's GradCAM on the eager model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_grad_cam
import torch
from conftest import knee_like
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from osteolens import models
from osteolens.card import load_card
from osteolens.inference.runtimes.onnx import OnnxRuntime
from osteolens.models import Ensemble, KneeModel

SIDE, FILMS, CLASSES = 96, 20, 3
PICTURES = np.stack([knee_like(SIDE, SIDE, seed)[None] for seed in range(FILMS)])


class Whole(nn.Module):
    """All of a model, with its last feature map where a hook can reach it."""

    def __init__(self, model: KneeModel) -> None:
        super().__init__()
        self.model, self.last = model, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.model.head(self.last(self.model.features(x)))[0]


def package_maps(model: KneeModel, target: int) -> np.ndarray:
    """GradCAM over the whole model by the package alone, before it scales: [N, h, w]."""
    whole = Whole(model)
    raw: list[np.ndarray] = []
    with pytorch_grad_cam.GradCAM(whole, [whole.last]) as cam:
        compute = cam.get_cam_image
        cam.get_cam_image = lambda *args, **kwargs: raw.append(compute(*args, **kwargs)) or raw[-1]
        cam(torch.from_numpy(PICTURES).float().requires_grad_(), [ClassifierOutputTarget(target)] * FILMS)
    return np.maximum(np.concatenate(raw), 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["efficientnet", "yolov5", "ensemble"])
def test_the_graph_s_maps_are_the_package_s(
    kind: str, member_folders: list[Path], ensemble_folder: Path, graph_of: Callable[[str], Path]
) -> None:
    folder = dict(zip(("efficientnet", "yolov5", "ensemble"), (*member_folders, ensemble_folder), strict=True))[kind]
    model, _ = models.load(folder)
    members = list(model.members) if isinstance(model, Ensemble) else [model]
    expected = np.stack(
        [np.mean([package_maps(member, target) for member in members], axis=0) for target in range(CLASSES)], axis=1
    )
    graph = OnnxRuntime(graph_of(kind), load_card(folder))
    assert (expected.max(axis=(2, 3)) > 0).mean() > 0.5  # not compared on empty maps
    for batch in (1, 2, 7, 32):
        for start in range(0, FILMS, batch):
            rows = slice(start, start + batch)
            maps = graph.predict(PICTURES[rows]).maps
            np.testing.assert_allclose(maps, expected[rows], rtol=1e-3, atol=1e-4 * expected.max())
            for ours, theirs in zip(maps, expected[rows], strict=True):
                np.testing.assert_allclose(scale_cam_image(ours), scale_cam_image(theirs), atol=1e-3)
